#include "formats/onnx/onnx_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/file.h"
#include "formats/onnx/tensor_reader.h"

namespace ettin::onnx {
namespace {

constexpr size_t kMostNodes = 20'000;
constexpr size_t kMostValues = 1000;  // of one node
constexpr size_t kMostDomains = 100;
constexpr size_t kMostTensors = 100'000;
constexpr size_t kMostDims = 16;

Status bad(std::string why, std::string hint = {}) {
  return Status(StatusCode::bad_data, std::move(why), std::move(hint));
}

Status unsupported(std::string why, std::string hint = {}) {
  return Status(StatusCode::unsupported, std::move(why), std::move(hint));
}

class Parser {
 public:
  explicit Parser(OnnxFile* out) : out_(*out), tensors_(out) {}

  Status model(Bytes message) {
    Bytes graph;
    bool has_graph = false;
    const Status read = for_each_field(message, [&](const WireField& f) -> Status {
      if (f.number == 1) out_.ir_version = f.integer();
      if (f.number == 2) out_.producer = f.text();
      if (f.number == 7) {
        ETTIN_RETURN_IF_ERROR(want_bytes(f, "graph"));
        if (has_graph) return bad("there are two graphs");
        graph = f.bytes;
        has_graph = true;
      }
      if (f.number == 8) return opset(f.bytes);
      if (f.number == 25) {
        return unsupported("the graph calls functions of its own, which are not read",
                           "inline them: onnx.inliner.inline_local_functions");
      }
      return {};
    });
    if (!read.ok()) return read;
    if (!has_graph) return bad("there is no graph", "is this an ONNX file?");
    ETTIN_RETURN_IF_ERROR(this->graph(graph));
    for (const Node& n : out_.nodes) {
      if (std::find(out_.domains.begin(), out_.domains.end(), n.domain) != out_.domains.end()) {
        continue;
      }
      return bad(
          fmt::format("it has an operator {}, but states no operator set for it", n.full_op()),
          "the file is incomplete");
    }
    return {};
  }

 private:
  Status opset(Bytes message) {
    std::string_view domain;
    int64_t version = 0;
    ETTIN_RETURN_IF_ERROR(for_each_field(message, [&](const WireField& f) -> Status {
      if (f.number == 1) domain = f.text();
      if (f.number == 2) version = f.integer();
      return {};
    }));
    if (domain == "ai.onnx") domain = "";
    if (domain.empty()) out_.opset = version;
    if (out_.domains.size() == kMostDomains) return bad("more than 100 operator sets");
    out_.domains.push_back(domain);
    return {};
  }

  Status graph(Bytes message) {
    return for_each_field(message, [&](const WireField& f) -> Status {
      switch (f.number) {
        case 1:
          ETTIN_RETURN_IF_ERROR(want_bytes(f, "a node"));
          if (out_.nodes.size() == kMostNodes) return bad("more than 20000 nodes");
          return node(f.bytes, &out_.nodes.emplace_back());
        case 5:
          ETTIN_RETURN_IF_ERROR(want_bytes(f, "an initializer"));
          if (out_.initializers.size() == kMostTensors) return bad("more than 100000 tensors");
          return tensor(f.bytes, &out_.initializers.emplace_back());
        case 11:
          ETTIN_RETURN_IF_ERROR(want_bytes(f, "an input"));
          if (out_.inputs.size() == kMostTensors) return bad("more than 100000 inputs");
          return input(f.bytes, &out_.inputs.emplace_back());
        case 12: {
          GraphInput output;
          ETTIN_RETURN_IF_ERROR(want_bytes(f, "an output"));
          ETTIN_RETURN_IF_ERROR(input(f.bytes, &output));
          if (out_.outputs.size() == kMostTensors) return bad("more than 100000 outputs");
          out_.outputs.push_back(output.name);
          return {};
        }
        case 15:
          return unsupported("sparse initializers are not read");
        default:
          return {};
      }
    });
  }

  // ValueInfoProto: name, type.tensor_type.shape.dim[].dim_value or dim_param.
  static Status input(Bytes message, GraphInput* out) {
    const auto dim = [&](const WireField& f) -> Status {
      if (f.number != 1) return {};
      if (out->dims.size() == kMostDims) return bad("an input has more than 16 dimensions");
      int64_t value = -1;
      ETTIN_RETURN_IF_ERROR(for_each_field(f.bytes, [&](const WireField& d) -> Status {
        if (d.number == 1) value = d.integer();
        return {};
      }));
      out->dims.push_back(value);
      return {};
    };
    return for_each_field(message, [&](const WireField& f) -> Status {
      if (f.number == 1) out->name = f.text();
      if (f.number != 2) return {};
      return for_each_field(f.bytes, [&](const WireField& type) -> Status {
        if (type.number != 1) return {};
        return for_each_field(type.bytes, [&](const WireField& shape) -> Status {
          return shape.number == 2 ? for_each_field(shape.bytes, dim) : Status();
        });
      });
    });
  }

  Status node(Bytes message, Node* out) {
    return for_each_field(message, [&](const WireField& f) -> Status {
      if (f.number <= 5 || f.number == 7) ETTIN_RETURN_IF_ERROR(want_bytes(f, "a part of a node"));
      if (f.number == 1) out->inputs.push_back(f.text());
      if (f.number == 2) out->outputs.push_back(f.text());
      if (std::max({out->inputs.size(), out->outputs.size(), out->attributes.size()}) >=
          kMostValues) {
        return bad("a node has more than 1000 inputs, outputs or attributes");
      }
      if (f.number == 3) out->name = f.text();
      if (f.number == 4) out->op = f.text();
      if (f.number == 7) out->domain = f.text() == "ai.onnx" ? "" : f.text();
      if (f.number == 5) return attribute(f.bytes, &out->attributes.emplace_back());
      return {};
    });
  }

  Status attribute(Bytes message, Attribute* out) {
    return for_each_field(message, [&](const WireField& f) -> Status {
      if (f.number == 1) out->name = f.text();
      if (f.number == 2) out->f = std::bit_cast<float>(static_cast<uint32_t>(f.value));
      if (f.number == 3) out->i = f.integer();
      if (f.number == 4) out->s = f.text();
      if (f.number == 5) {
        auto t = std::make_shared<Tensor>();
        ETTIN_RETURN_IF_ERROR(tensor(f.bytes, t.get()));
        out->t = std::move(t);
      }
      if (f.number == 6 || f.number == 11) {
        return unsupported("an operator holds a graph of its own, which is not read",
                           "export without If, Loop and Scan");
      }
      if (f.number == 7) {
        if (f.kind == WireField::Kind::fixed32) {
          out->floats.push_back(std::bit_cast<float>(static_cast<uint32_t>(f.value)));
        } else {
          for (size_t i = 0; i + 4 <= f.bytes.size(); i += 4) {
            float v;
            std::memcpy(&v, f.bytes.data() + i, sizeof v);
            out->floats.push_back(v);
          }
        }
      }
      if (f.number == 8) {
        return for_each_varint(f,
                               [&](uint64_t v) { out->ints.push_back(static_cast<int64_t>(v)); });
      }
      return {};
    });
  }

  Status tensor(Bytes message, Tensor* out) { return tensors_.read(message, out); }

  OnnxFile& out_;
  TensorReader tensors_;
};

}  // namespace

const Attribute* Node::find(std::string_view attribute) const {
  for (const Attribute& a : attributes) {
    if (a.name == attribute) return &a;
  }
  return nullptr;
}

int64_t Node::integer(std::string_view attribute, int64_t otherwise) const {
  const Attribute* a = find(attribute);
  return a == nullptr ? otherwise : a->i;
}

float Node::number(std::string_view attribute, float otherwise) const {
  const Attribute* a = find(attribute);
  return a == nullptr ? otherwise : a->f;
}

std::string Node::full_op() const {
  return domain.empty() ? std::string(op) : fmt::format("{}.{}", domain, op);
}

Result<OnnxFile> read_onnx_file(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  const auto map = std::make_shared<const MappedFile>(std::move(mapped));
  OnnxFile file;
  file.path = path;
  file.files.push_back(path);
  file.owners.push_back(map);
  file.maps.push_back(map->bytes());
  const Status status = Parser(&file).model(map->bytes());
  if (!status.ok()) return status.with_context(path);
  return file;
}

}  // namespace ettin::onnx
