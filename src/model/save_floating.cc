#include "model/save_floating.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace ettin {
namespace {

// Rows [first, first + rows) of an entry of the plan, or that part of its bias or gain.
struct Piece {
  StoredTensor header;  // name, type and shape; no bytes
  const FoundTensor* found = nullptr;
  bool vector = false;
  int64_t first = 0, rows = 1, cols = 0;

  uint64_t bytes() const { return header.element_count() * dtype_bytes(header.dtype); }
};

std::vector<Piece> pieces_of(const ModelConfig& config, std::span<const FoundTensor> plan,
                             const FloatingSave& how) {
  std::vector<Piece> pieces;
  const auto add = [&](const FoundTensor& found, const std::string& name, int64_t part,
                       int64_t parts) {
    const int64_t rows = found.spec.rows / parts, cols = found.spec.cols;
    const auto make = [&](std::string full, bool vector, int64_t count, int64_t width) {
      Piece p;
      p.header.name = std::move(full);
      p.header.dtype = how.dtype;
      p.found = &found;
      p.vector = vector;
      p.first = part * (vector ? width : count);
      p.rows = count;
      p.cols = width;
      p.header.shape = {static_cast<uint64_t>(width)};
      if (!vector) p.header.shape.insert(p.header.shape.begin(), static_cast<uint64_t>(count));
      pieces.push_back(std::move(p));
    };
    if (found.spec.is_norm) {
      make(name + ".weight", true, 1, cols);
    } else if (!found.spec.tied || found.differs_from_embedding) {
      make(name + ".weight", false, rows, cols);
    }
    if (found.spec.bias) make(name + ".bias", true, 1, found.spec.is_norm ? cols : rows);
  };
  for (const FoundTensor& found : plan) {
    const std::vector<std::string> names = names_in_class(config, found.spec, how.arm);
    const auto parts = static_cast<int64_t>(names.size());
    for (int64_t part = 0; part < parts; ++part) {
      add(found, names[static_cast<size_t>(part)], part, parts);
    }
  }
  return pieces;
}

// Values of a norm's gain, or of a bias in one tensor or in three.
std::vector<double> vector_of(const Piece& piece) {
  const FoundTensor& found = *piece.found;
  std::vector<const StoredTensor*> parts = found.bias_blocks;
  if (piece.header.name.ends_with(".weight")) parts = {found.gain};
  std::vector<double> all;
  for (const StoredTensor* t : parts) {
    std::vector<double> some(t->element_count());
    read_elements(*t, 0, std::span(some));
    all.insert(all.end(), some.begin(), some.end());
  }
  const auto from = all.begin() + piece.first;
  return {from, from + piece.cols};
}

class PieceWriter {
 public:
  PieceWriter(SafetensorsWriter* writer, std::string_view where)
      : writer_(*writer), where_(where) {}

  Status write(const Piece& piece) {
    std::vector<double> row(static_cast<size_t>(piece.cols));
    for (int64_t r = 0; r < piece.rows; ++r) {
      if (piece.vector) {
        row = vector_of(piece);
      } else {
        read_row(piece.found->blocks, piece.first + r, row);
      }
      ETTIN_RETURN_IF_ERROR(narrow(piece, row));
      ETTIN_RETURN_IF_ERROR(
          writer_.write(piece.header.name, static_cast<uint64_t>(r) * bytes_.size(), bytes_));
    }
    return {};
  }

 private:
  template <class T, class Fn>
  void store(std::span<const double> row, Fn convert) {
    bytes_.resize(row.size() * sizeof(T));
    for (size_t i = 0; i < row.size(); ++i) {
      const T value = convert(static_cast<float>(row[i]));
      std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value,
                  bytes_.begin() + static_cast<long>(i * sizeof value));
    }
  }

  // What rounds to the largest number of a type; above it there is only infinity.
  static double most(Dtype dtype) {
    if (dtype == Dtype::f16) return 65519;
    return dtype == Dtype::bf16 ? 3.396177e38 : double{std::numeric_limits<float>::max()};
  }

  Status narrow(const Piece& piece, std::span<const double> row) {
    const Dtype dtype = piece.header.dtype;
    for (const double x : row) {
      if (std::isfinite(x) && std::fabs(x) > most(dtype)) {
        return Status(StatusCode::unsupported,
                      fmt::format("{}: {} holds {:.6g}, which {} cannot hold", where_,
                                  piece.header.name, x, dtype_name(dtype)),
                      dtype == Dtype::f16 ? "choose fp32 or bf16" : "choose fp32");
      }
    }
    if (dtype == Dtype::f32) {
      store<float>(row, [](float x) { return x; });
    } else if (dtype == Dtype::bf16) {
      store<uint16_t>(row, float_to_bf16);
    } else {
      store<uint16_t>(row, float_to_fp16);
    }
    return {};
  }

  SafetensorsWriter& writer_;
  std::string_view where_;
  std::vector<std::byte> bytes_;
};

// Pieces in their order, a new file whenever the next one would not fit.
std::vector<std::vector<Piece>> cut(std::vector<Piece> pieces, uint64_t shard_bytes) {
  std::vector<std::vector<Piece>> files(1);
  uint64_t used = 0;
  for (Piece& piece : pieces) {
    const uint64_t bytes = piece.bytes();
    if (!files.back().empty() && used + bytes > shard_bytes) {
      files.emplace_back();
      used = 0;
    }
    used += bytes;
    files.back().push_back(std::move(piece));
  }
  return files;
}

Status write_file(const std::string& path, std::span<const Piece> pieces, std::string_view where) {
  std::vector<StoredTensor> headers;
  for (const Piece& piece : pieces) headers.push_back(piece.header);
  ETTIN_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                         SafetensorsWriter::create(path, headers, {{"format", "pt"}}));
  PieceWriter out(&writer, where);
  for (const Piece& piece : pieces) ETTIN_RETURN_IF_ERROR(out.write(piece));
  return writer.commit();
}

}  // namespace

std::vector<std::string> names_in_class(const ModelConfig& config, const TensorSpec& spec,
                                        const Arm& arm) {
  const bool causal = arm.direction == Direction::causal;
  const bool in_backbone = spec.name.starts_with("embeddings.") ||
                           spec.name.starts_with("layers.") || spec.name.starts_with("final_norm");
  if (!in_backbone) {
    const bool renamed =
        causal && config.head == Head::language_model && spec.name.starts_with("head.");
    return {(renamed ? "lm_" : "") + spec.name};
  }
  const std::string name = (config.head == Head::none ? "" : "model.") + spec.name;
  if (!causal || !name.ends_with("attn.Wqkv")) return {name};
  const std::string base = name.substr(0, name.size() - 4);
  return {base + "q_proj", base + "k_proj", base + "v_proj"};
}

Status save_floating(const ModelConfig& config, std::span<const FoundTensor> plan,
                     const FloatingSave& how, const std::string& directory,
                     std::string_view where) {
  const std::vector<std::vector<Piece>> files =
      cut(pieces_of(config, plan, how), std::max<uint64_t>(1, how.shard_bytes));
  if (files.size() == 1) {
    return write_file(join_path(directory, "model.safetensors"), files[0], where);
  }
  if (files.size() > 99'999) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("shards of {} bytes make {} files", how.shard_bytes, files.size()),
                  "choose larger shards");
  }
  Json index = {{"metadata", Json::object()}, {"weight_map", Json::object()}};
  uint64_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
    ETTIN_RETURN_IF_ERROR(write_file(join_path(directory, name), files[i], where));
    for (const Piece& piece : files[i]) {
      index["weight_map"][piece.header.name] = name;
      total += piece.bytes();
    }
  }
  index["metadata"]["total_size"] = total;
  return write_file_atomic(join_path(directory, "model.safetensors.index.json"),
                           dump_json(index, 2) + "\n");
}

}  // namespace ettin
