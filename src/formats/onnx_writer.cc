#include "formats/onnx_writer.h"

#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "formats/onnx.pb.h"

namespace ettin {
namespace {

// What current and old runtimes read: onnxruntime since 1.13.
constexpr int64_t kIrVersion = 8, kOpset = 17, kMicrosoftOpset = 1;
// Large tensors begin at pages, so that a runtime can map them; others where any type may begin.
constexpr uint64_t kLarge = uint64_t{1} << 20, kPage = 4096, kSmallAlignment = 64;
constexpr size_t kBuffer = size_t{1} << 20;

uint64_t round_up(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }

void fill_type(onnx::ValueInfoProto* info, const std::string& name, OnnxType type,
               const std::vector<OnnxDim>& shape) {
  info->set_name(name);
  onnx::TypeProto::Tensor* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int32_t>(type));
  tensor->mutable_shape();  // of a scalar: there, and empty
  for (const OnnxDim& size : shape) {
    onnx::TensorShapeProto::Dimension* dim = tensor->mutable_shape()->add_dim();
    if (const auto* number = std::get_if<int64_t>(&size)) {
      dim->set_dim_value(*number);
    } else {
      dim->set_dim_param(std::get<std::string>(size));
    }
  }
}

void fill_attribute(onnx::AttributeProto* a, const std::string& name, const OnnxValue& value) {
  a->set_name(name);
  if (const auto* i = std::get_if<int64_t>(&value)) {
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(*i);
  } else if (const auto* f = std::get_if<double>(&value)) {
    a->set_type(onnx::AttributeProto::FLOAT);
    a->set_f(static_cast<float>(*f));
  } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) {
    a->set_type(onnx::AttributeProto::INTS);
    a->mutable_ints()->Add(ints->begin(), ints->end());
  } else {
    a->set_type(onnx::AttributeProto::STRING);
    a->set_s(std::get<std::string>(value));
  }
}

}  // namespace

uint32_t onnx_bytes(OnnxType type) {
  switch (type) {
    case OnnxType::f32:
    case OnnxType::i32:
      return 4;
    case OnnxType::i64:
      return 8;
    case OnnxType::f16:
      return 2;
    case OnnxType::u8:
    case OnnxType::i8:
    case OnnxType::boolean:
      return 1;
  }
  return 0;
}

struct OnnxWriter::State {
  std::string path;
  uint64_t part_bytes = 0;
  onnx::ModelProto model;
  std::set<std::string, std::less<>> known;  // values that nodes may read
  bool microsoft = false;                    // an operator of that domain is used

  std::optional<OutputFile> data;
  int parts = 0;
  uint64_t end = 0;      // of the current part
  uint64_t missing = 0;  // bytes of the tensor that was begun
  std::vector<std::byte> buffer;
  uint64_t buffer_at = 0;

  std::string part_path(int part) const {
    return part == 0 ? path + "_data" : fmt::format("{}_data_{}", path, part);
  }

  void define(const std::string& name) { ETTIN_CHECK(!name.empty() && known.insert(name).second); }

  Status flush() {
    if (buffer.empty()) return {};
    ETTIN_RETURN_IF_ERROR(data->write_at(buffer_at, buffer));
    buffer_at += buffer.size();
    buffer.clear();
    return {};
  }

  Status finish_part() {
    if (!data) return {};
    ETTIN_RETURN_IF_ERROR(flush());
    ETTIN_RETURN_IF_ERROR(data->commit());
    data.reset();
    return {};
  }

  Status start_part() {
    ETTIN_RETURN_IF_ERROR(finish_part());
    ETTIN_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(part_path(parts)));
    data.emplace(std::move(file));
    ++parts;
    end = buffer_at = 0;
    return {};
  }
};

OnnxWriter::OnnxWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
OnnxWriter::OnnxWriter(OnnxWriter&&) noexcept = default;
OnnxWriter::~OnnxWriter() = default;

Result<OnnxWriter> OnnxWriter::create(const std::string& path, uint64_t part_bytes) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->part_bytes = part_bytes;
  state->buffer.reserve(kBuffer);
  state->model.set_ir_version(kIrVersion);
  state->model.set_producer_name("ettin");
  state->model.mutable_graph()->set_name("ettin");
  ETTIN_RETURN_IF_ERROR(state->start_part());
  return OnnxWriter(std::move(state));
}

void OnnxWriter::input(const std::string& name, OnnxType type, const std::vector<OnnxDim>& shape) {
  state_->define(name);
  fill_type(state_->model.mutable_graph()->add_input(), name, type, shape);
}

void OnnxWriter::output(const std::string& name, OnnxType type, const std::vector<OnnxDim>& shape) {
  ETTIN_CHECK(state_->known.contains(name));
  fill_type(state_->model.mutable_graph()->add_output(), name, type, shape);
}

void OnnxWriter::node(std::string_view op, std::string_view domain,
                      const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs, const OnnxAttributes& attributes) {
  onnx::NodeProto* node = state_->model.mutable_graph()->add_node();
  for (const std::string& name : inputs) {
    ETTIN_CHECK(name.empty() || state_->known.contains(name));
    node->add_input(name);
  }
  for (const std::string& name : outputs) {
    if (!name.empty()) state_->define(name);
    node->add_output(name);
  }
  node->set_name("/" + outputs.at(0));
  node->set_op_type(std::string(op));
  if (!domain.empty()) {
    node->set_domain(std::string(domain));
    state_->microsoft = true;
  }
  for (const auto& [name, value] : attributes) fill_attribute(node->add_attribute(), name, value);
}

void OnnxWriter::constant(const std::string& name, OnnxType type, std::span<const int64_t> shape,
                          std::span<const std::byte> bytes) {
  state_->define(name);
  onnx::TensorProto* tensor = state_->model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(static_cast<int32_t>(type));
  tensor->mutable_dims()->Add(shape.begin(), shape.end());
  tensor->set_raw_data(bytes.data(), bytes.size());
}

Status OnnxWriter::begin_tensor(const std::string& name, OnnxType type,
                                std::span<const int64_t> shape) {
  State& s = *state_;
  ETTIN_CHECK(s.missing == 0);
  s.define(name);
  uint64_t bytes = onnx_bytes(type);
  for (const int64_t size : shape) bytes *= static_cast<uint64_t>(size);
  ETTIN_CHECK(bytes > 0);
  uint64_t begin = round_up(s.end, bytes >= kLarge ? kPage : kSmallAlignment);
  if (s.end > 0 && begin + bytes > s.part_bytes) {
    ETTIN_RETURN_IF_ERROR(s.start_part());
    begin = 0;
  }
  s.buffer.resize(s.buffer.size() + (begin - s.end));
  s.end = begin + bytes;
  s.missing = bytes;
  onnx::TensorProto* tensor = s.model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(static_cast<int32_t>(type));
  tensor->mutable_dims()->Add(shape.begin(), shape.end());
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  const auto entry = [&](const char* key, std::string value) {
    onnx::StringStringEntryProto* e = tensor->add_external_data();
    e->set_key(key);
    e->set_value(std::move(value));
  };
  entry("location", std::filesystem::path(s.part_path(s.parts - 1)).filename().string());
  entry("offset", fmt::format("{}", begin));
  entry("length", fmt::format("{}", bytes));
  return {};
}

Status OnnxWriter::append(std::span<const std::byte> bytes) {
  State& s = *state_;
  ETTIN_CHECK(bytes.size() <= s.missing);
  s.missing -= bytes.size();
  s.buffer.insert(s.buffer.end(), bytes.begin(), bytes.end());
  return s.buffer.size() < kBuffer ? Status() : s.flush();
}

Status OnnxWriter::commit() {
  State& s = *state_;
  ETTIN_CHECK(s.missing == 0);
  ETTIN_RETURN_IF_ERROR(s.finish_part());
  const auto import = [&](std::string_view domain, int64_t version) {
    onnx::OperatorSetIdProto* set = s.model.add_opset_import();
    set->set_domain(std::string(domain));
    set->set_version(version);
  };
  import(kOnnxDomain, kOpset);
  if (s.microsoft) import(kMicrosoftDomain, kMicrosoftOpset);
  std::string bytes;
  if (!s.model.SerializeToString(&bytes)) {
    return Status(StatusCode::resource_limit, s.path + ": the graph does not fit a file of 2 GiB");
  }
  return write_file_atomic(s.path, bytes);
}

int OnnxWriter::parts() const { return state_->parts; }

}  // namespace ettin
