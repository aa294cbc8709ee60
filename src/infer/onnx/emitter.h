// Writes one ONNX graph: operators, and the operations of a network in a number format. What the
// network is, graph.cc says; what attention is made of, the styles say.
//
// Like a stream: after the first error nothing more is written, and status() tells.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/onnx_writer.h"
#include "infer/onnx/format.h"
#include "infer/onnx/weights.h"
#include "model/model_folder.h"

namespace ettin {

using OnnxName = std::string;  // of a value of the graph

// Part `index` of `count` equal runs of rows of a matrix; `role` names it: "q_proj".
struct OnnxPart {
  std::string_view role;
  int64_t index = 0, count = 1;
};

class OnnxEmitter {
 public:
  OnnxEmitter(OnnxWriter* writer, const ModelFolder& folder, OnnxFormat format, OnnxStyle style);

  const ModelConfig& config() const { return folder_.config; }
  const Status& status() const { return status_; }
  OnnxType type() const { return format_.activations; }
  bool fused() const { return style_ == OnnxStyle::fused; }
  void set_scope(std::string scope) { scope_ = std::move(scope); }  // names begin with it
  void fail(Status status);                                         // the first one is kept

  // An operator with one output, which gets `name`, or one of its own.
  OnnxName op(std::string_view type, const std::vector<OnnxName>& inputs,
              const OnnxAttributes& attributes = {}, OnnxName name = {});
  OnnxName microsoft(std::string_view type, const std::vector<OnnxName>& inputs,
                     const OnnxAttributes& attributes = {});
  // Any operator; "" among the outputs is one that nobody wants.
  void node(std::string_view type, std::string_view domain, const std::vector<OnnxName>& inputs,
            const std::vector<OnnxName>& outputs, const OnnxAttributes& attributes = {});
  OnnxName new_name(std::string_view type);

  // Constants; equal ones are one.
  OnnxName ints(const std::vector<int64_t>& values);               // [n]
  OnnxName integer(int64_t value);                                 // a scalar
  OnnxName number(double value) { return number(value, type()); }  // a scalar
  OnnxName number(double value, OnnxType type);

  OnnxName cast(const OnnxName& x, OnnxType to, OnnxName name = {});
  OnnxName reshape(const OnnxName& x, const std::vector<int64_t>& shape);
  OnnxName unsqueeze(const OnnxName& x, const std::vector<int64_t>& axes);
  OnnxName size_of(const OnnxName& x, int64_t axis);  // a scalar
  // [begin, end) of an axis; `end` INT64_MAX: to its end.
  OnnxName slice(const OnnxName& x, int64_t axis, int64_t begin, int64_t end);

  // Below, `tensor` names an entry of the list of tensors (model/weights.h).
  OnnxName embed(const OnnxName& ids);                            // -> [.., H]
  OnnxName norm(const OnnxName& x, const std::string& tensor);    // LayerNormalization
  std::vector<OnnxName> norm_weights(const std::string& tensor);  // gain, or gain and bias
  OnnxName linear(const OnnxName& x, const std::string& tensor, OnnxPart part = {});
  OnnxName activate(const OnnxName& x, Activation activation);

  OnnxWeights& weights() { return weights_; }
  // Runs a function that gives a Status, unless there is an error already.
  template <class Fn>
  void write(Fn fn) {
    if (status_.ok()) fail(fn());
  }

 private:
  struct Dynamic {  // x rounded to bytes as it runs
    OnnxName bytes, scale, zero;
  };

  const FoundTensor& found(const std::string& tensor) const;
  bool shares_embedding(const FoundTensor& found) const;
  OnnxName matmul(const OnnxName& x, const std::string& name, const MatrixRows& m);
  OnnxName matmul_q8(const OnnxName& x, const std::string& name, const MatrixRows& m);
  OnnxName matmul_q4(const OnnxName& x, const std::string& name, const MatrixRows& m);
  OnnxName tied(const OnnxName& x);
  const Dynamic& dynamic(const OnnxName& x);
  OnnxName constant(const std::string& key, OnnxType type, std::span<const int64_t> shape,
                    std::span<const std::byte> bytes);

  OnnxWriter& writer_;
  const ModelFolder& folder_;
  const OnnxFormatInfo& format_;
  const OnnxStyle style_;
  OnnxWeights weights_;
  Status status_;
  std::string scope_;
  int64_t count_ = 0;
  std::map<std::string, const FoundTensor*, std::less<>> plan_;
  std::map<std::string, OnnxName> constants_;
  std::map<OnnxName, Dynamic> dynamic_;
  bool embedding_in_q4_ = false;  // the embedding is stored as a matrix of 4 bits
};

}  // namespace ettin
