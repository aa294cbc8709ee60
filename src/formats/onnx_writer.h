// The ONNX format: a graph, and its tensors in a file beside it (library: protobuf).
//
// Weights are streamed: begin_tensor, then its bytes in pieces, so that no more than a piece need
// be in memory. They lie in FILE_data (further parts: FILE_data_1, ...), the names that
// transformers.js looks for. Constants of the graph itself are kept inside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ettin/status.h"

namespace ettin {

enum class OnnxType : uint8_t { f32 = 1, u8 = 2, i8 = 3, i32 = 6, i64 = 7, boolean = 9, f16 = 10 };
uint32_t onnx_bytes(OnnxType type);  // of an element

inline constexpr std::string_view kOnnxDomain;  // the standard's operators
inline constexpr std::string_view kMicrosoftDomain = "com.microsoft";

using OnnxDim = std::variant<int64_t, std::string>;  // a number, or the name of an open size
using OnnxValue = std::variant<int64_t, double, std::vector<int64_t>, std::string>;
using OnnxAttributes = std::vector<std::pair<std::string, OnnxValue>>;

class OnnxWriter {
 public:
  // A part of the data is at most this large, unless one tensor is larger: readers that hold a
  // part in one buffer stop at 2 GiB.
  static constexpr uint64_t kPartBytes = 2'000'000'000;

  // Nothing is at `path` ("DIR/model.onnx") before commit(), but for parts that were filled.
  static Result<OnnxWriter> create(const std::string& path, uint64_t part_bytes = kPartBytes);

  OnnxWriter(OnnxWriter&&) noexcept;
  OnnxWriter& operator=(OnnxWriter&&) = delete;
  ~OnnxWriter();

  void input(const std::string& name, OnnxType type, const std::vector<OnnxDim>& shape);
  void output(const std::string& name, OnnxType type, const std::vector<OnnxDim>& shape);

  // Precondition: what a node reads was an input, a tensor or an earlier node's output ("": an
  // optional input that is absent), and nobody else's output has its outputs' names.
  void node(std::string_view op, std::string_view domain, const std::vector<std::string>& inputs,
            const std::vector<std::string>& outputs, const OnnxAttributes& attributes = {});

  // A small tensor kept in the graph; without `shape`, a scalar.
  void constant(const std::string& name, OnnxType type, std::span<const int64_t> shape,
                std::span<const std::byte> bytes);

  // A tensor in the data file. Precondition: the one before it is complete.
  Status begin_tensor(const std::string& name, OnnxType type, std::span<const int64_t> shape);
  Status append(std::span<const std::byte> bytes);

  // Writes the graph. Precondition: every tensor is complete.
  Status commit();

  int parts() const;  // files of data

 private:
  struct State;
  explicit OnnxWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace ettin
