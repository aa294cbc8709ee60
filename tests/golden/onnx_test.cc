// Every ONNX fixture: the values of all weights, bit for bit, and the logits of ONNX Runtime.
#include <cstring>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "backend/cpu/isa.h"
#include "base/hash.h"
#include "base/test_files.h"
#include "ettin/ettin.h"
#include "formats/onnx/onnx_file.h"
#include "golden.h"
#include "infer/locate_model.h"
#include "onnx_mutants.h"

namespace ettin {
namespace {

const std::string kFolder = ETTIN_SHARED_DIR "/data/onnx/";

struct Fixture {
  const char* folder;
  const char* file;  // suffix of the ONNX file
  const char* dtype;
};

std::string name_of(const testing::TestParamInfo<Fixture>& info) {
  std::string name = std::string(info.param.folder) + "_" + info.param.dtype;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class OnnxFixture : public testing::TestWithParam<Fixture> {
 protected:
  void SetUp() override {
    ETTIN_NEED_SHARED("data/onnx/README.md");
    source_ = kFolder + GetParam().folder;
    file_ = std::string("onnx/model") + GetParam().file + ".onnx";
    golden_ = test::must_read_json(source_ + "/golden.json");
    facts_ = golden_["files"][file_];
    ASSERT_TRUE(facts_.is_object());
    // A folder of config.json and the ONNX files alone.
    for (const auto& entry : std::filesystem::directory_iterator(source_ + "/onnx")) {
      copy("onnx/" + entry.path().filename().string());
    }
    copy("config.json");
  }

  void copy(const std::string& name) { dir_.write(name, test::slurp(source_ + "/" + name)); }

  ModelFolder must_read() {
    std::vector<std::string> warnings;
    Result<ModelFolder> folder = open_model_folder(dir_.path(), &warnings, GetParam().dtype);
    EXPECT_TRUE(folder.ok()) << folder.status().to_string();
    EXPECT_EQ(warnings, std::vector<std::string>());
    return folder.ok() ? *std::move(folder) : ModelFolder();
  }

  test::TempDir dir_;
  std::string source_, file_;
  Json golden_, facts_;
};

using Values = std::map<std::string, std::vector<float>>;

// All tensors under transformers' names, decoder.weight among them.
Values values_of(const ModelFolder& folder) {
  const bool decoder = folder.config.arm == kDecoder;
  Values all;
  std::vector<float> embedding;
  for (const FoundTensor& found : folder.plan) {
    std::string name = found.spec.name;
    const bool backbone = name.starts_with("embeddings.") || name.starts_with("layers.") ||
                          name.starts_with("final_norm");
    if (backbone) name = "model." + name;
    if (decoder && name.starts_with("head.")) name = "lm_" + name;
    std::vector<float> values;
    const auto append = [&](const StoredTensor& t) {
      std::vector<float> some(t.element_count());
      read_elements(t, 0, std::span(some));
      values.insert(values.end(), some.begin(), some.end());
    };
    if (found.spec.is_norm) append(*found.gain);
    for (const StoredMatrix& m : found.blocks) append(*m.values);
    if (name.ends_with("tok_embeddings")) embedding = values;
    if (found.spec.tied && values.empty()) values = embedding;
    if (decoder && name.ends_with("Wqkv")) {
      const size_t third = values.size() / 3;
      for (size_t i = 0; i < 3; ++i) {
        const auto from = values.begin() + static_cast<long>(i * third);
        const std::string part = name.substr(0, name.size() - 4) + "qkv"[i] + "_proj.weight";
        all[part].assign(from, from + static_cast<long>(third));
      }
    } else {
      all[name + ".weight"] = std::move(values);
    }
    for (const StoredTensor* bias : found.bias_blocks) {
      values.clear();
      append(*bias);
      all[name + ".bias"] = values;
    }
  }
  return all;
}

std::string hash_of(const ModelFolder& folder) {
  std::vector<std::byte> bytes;
  for (const auto& [name, values] : values_of(folder)) {
    const auto part = std::as_bytes(std::span(values));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return sha256_hex(bytes);
}

TEST_P(OnnxFixture, EveryWeightIsWhatTheFileStores) {
  if (IsSkipped()) return;
  const ModelFolder folder = must_read();
  ASSERT_FALSE(folder.plan.empty());
  EXPECT_EQ(hash_of(folder), facts_["dequantised_weights_sha256"].get<std::string>());
  const FoundTensor& decoder = folder.plan.back();
  EXPECT_EQ(!decoder.differs_from_embedding, facts_["head_equals_embedding"].get<bool>());
}

TEST_P(OnnxFixture, WeightsLieNearTheTrueOnes) {
  if (IsSkipped()) return;
  const ModelFolder folder = must_read();
  std::vector<std::string> warnings;
  const std::string truth = source_ + "/" + golden_["weights"].get<std::string>();
  const Result<TensorSource> source = TensorSource::open_file(truth);
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  const double tolerance = facts_["weights_max_rel_error"]["tolerance"].get<double>();
  Values imported = values_of(folder);
  for (const StoredTensor& t : source->tensors()) {
    ASSERT_TRUE(imported.contains(t.name)) << t.name;
    std::vector<float> expected(t.element_count());
    read_elements(t, 0, std::span(expected));
    const std::vector<float>& found = imported[t.name];
    ASSERT_EQ(found.size(), expected.size()) << t.name;
    double worst = 0, largest = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      worst = std::max(worst, std::fabs(double{found[i]} - double{expected[i]}));
      largest = std::max(largest, std::fabs(double{expected[i]}));
    }
    EXPECT_LE(worst, tolerance * largest) << t.name;
  }
}

// The largest difference from ONNX Runtime's logits, over the listed rows.
double worst_logit(const Json& golden, const Json& listed, const Model& model) {
  std::vector<ForwardInput> inputs;
  for (size_t s = 0; s < golden["input_ids"].size(); ++s) {
    ForwardInput input;
    for (size_t i = 0; i < golden["input_ids"][s].size(); ++i) {
      if (golden["attention_mask"][s][i] == 1) {
        input.input_ids.push_back(golden["input_ids"][s][i].get<int32_t>());
      }
    }
    inputs.push_back(std::move(input));
  }
  const auto outputs = model.forward(inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.status().to_string();
  if (!outputs.ok()) return INFINITY;
  double worst = 0;
  for (size_t r = 0; r < golden["rows"].size(); ++r) {
    const auto sequence = golden["rows"][r][0].get<size_t>();
    const auto position = golden["rows"][r][1].get<size_t>();
    const ForwardOutput& out = (*outputs)[sequence];
    const std::vector<double> expected = test::to_doubles(listed[r]);
    EXPECT_EQ(static_cast<int64_t>(expected.size()), out.logit_cols);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double found = out.logits[position * expected.size() + i];
      worst = std::max(worst, std::fabs(found - expected[i]));
    }
  }
  return worst;
}

TEST_P(OnnxFixture, ExpandedWeightsGiveTheLogitsOfOnnxRuntime) {
  if (IsSkipped()) return;
  ModelOptions options;
  options.dtype = GetParam().dtype;
  options.expand_weights = true;
  const Result<Model> model = Model::load(dir_.path(), options);
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_EQ(model->info().dtype, "fp32");
  EXPECT_LE(worst_logit(golden_, facts_["ort_logits"], *model),
            facts_["logits_tolerance_max_abs"].get<double>());
}

// Blocks are multiplied as they are stored, to the bits of expanded ones; int8 is not expanded.
TEST_P(OnnxFixture, StoredWeightsAreComputedAsTheyAre) {
  if (IsSkipped()) return;
  ModelOptions options;
  options.dtype = GetParam().dtype;
  const Result<Model> stored = Model::load(dir_.path(), options);
  options.expand_weights = true;
  const Result<Model> expanded = Model::load(dir_.path(), options);
  ASSERT_TRUE(stored.ok() && expanded.ok()) << stored.status().to_string();
  const std::string dtype = options.dtype;
  const bool dynamo = std::string(GetParam().folder) == "encoder-dynamo";
  const char* expected = dtype == "q8" && !dynamo                   ? "int8"
                         : dtype == "q8" || dtype.starts_with("q4") ? "weight-only"
                                                                    : "fp32";
  EXPECT_EQ(stored->info().dtype, expected);
  if (std::string_view(expected) == "int8") return;
  const std::vector<ForwardInput> inputs = {{{316, 7, 90, 12, 317}, {}}, {{316, 317}, {}}};
  const auto a = stored->forward(inputs), b = expanded->forward(inputs);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ((*a)[0].logits, (*b)[0].logits);
  EXPECT_EQ((*a)[1].logits, (*b)[1].logits);
  EXPECT_LE(worst_logit(golden_, facts_["ort_logits"], *stored),
            facts_["logits_tolerance_max_abs"].get<double>());
}

// With one scale for a whole text int8 gives ONNX Runtime's numbers.
TEST_P(OnnxFixture, Int8GivesTheNumbersOfOnnxRuntime) {
  if (IsSkipped() || !facts_.contains("single_sequence")) return;
  const Json& single = facts_["single_sequence"];
  ModelOptions options;
  options.dtype = "q8";
  options.int8_scales = "sequence";
  Json golden = golden_;
  golden["rows"] = Json::array();
  for (const Json& position : single["rows"]) golden["rows"].push_back({0, position});
  // A value so near to a tie that the last bit of a sum decides is rounded the other way by some
  // backends and instruction sets, which changes the logits by some tenths: not by all of them.
  std::vector<std::pair<const char*, std::string>> ways = {{"ref", ""}};
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    ways.emplace_back("cpu", std::string(isa.name));
  }
  double best = INFINITY;
  for (const auto& [backend, isa] : ways) {
    SCOPED_TRACE(std::string(backend) + " " + isa);
    options.backend = backend;
    ::setenv("ETTIN_ISA", isa.c_str(), 1);
    const Result<Model> model = Model::load(dir_.path(), options);
    ASSERT_TRUE(model.ok()) << model.status().to_string();
    const double worst = worst_logit(golden, single["ort_logits"], *model);
    EXPECT_LE(worst, 0.6);
    best = std::min(best, worst);
  }
  ::unsetenv("ETTIN_ISA");
  EXPECT_LE(best, std::max(2e-5, 1.5 * single["ort_vs_int8_emulation"]["max_abs"].get<double>()));
}

// The same file in other words is the same model.
TEST_P(OnnxFixture, MutantsAreRead) {
  if (IsSkipped()) return;
  const Result<onnx::OnnxFile> file = onnx::read_onnx_file(source_ + "/" + file_);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const test::MutantOptions kinds[] = {
      {.rename = true},
      {.reorder = true},
      {.transpose = true},
      {.zero_biases = true},
      {.constant_nodes = true},
      {.rename = true, .reorder = true, .transpose = true, .zero_biases = true}};
  for (size_t kind = 0; kind < std::size(kinds); ++kind) {
    const test::TempDir dir;
    dir.write("config.json", test::slurp(source_ + "/config.json"));
    dir.write("onnx/model.onnx", test::OnnxMutant(*file, kinds[kind], kind).write());
    std::vector<std::string> warnings;
    const Result<ModelFolder> folder = open_model_folder(dir.path(), &warnings);
    ASSERT_TRUE(folder.ok()) << "kind " << kind << ": " << folder.status().to_string();
    EXPECT_EQ(warnings, std::vector<std::string>()) << "kind " << kind;
    EXPECT_EQ(hash_of(*folder), facts_["dequantised_weights_sha256"].get<std::string>())
        << "kind " << kind;
  }
}

// What lies in typed fields is memory of the reader's own: packing must not give it back as it
// gives back pages of a file.
TEST_P(OnnxFixture, TypedFieldsArePackedToo) {
  if (IsSkipped() || std::string_view(GetParam().dtype) != "fp32") return;
  const Result<onnx::OnnxFile> file = onnx::read_onnx_file(source_ + "/" + file_);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const test::TempDir dir;
  dir.write("config.json", test::slurp(source_ + "/config.json"));
  dir.write("onnx/model.onnx", test::OnnxMutant(*file, {.typed = true}, 1).write());
  std::vector<std::string> warnings;
  const Result<ModelFolder> typed = open_model_folder(dir.path(), &warnings);
  ASSERT_TRUE(typed.ok()) << typed.status().to_string();
  const ModelFolder plain = must_read();
  EXPECT_EQ(hash_of(*typed), hash_of(plain));
  for (const StoredTensor& t : typed->source.tensors()) EXPECT_FALSE(t.mapped) << t.name;
  EXPECT_TRUE(plain.source.tensors()[0].mapped);
  const Result<Model> model = Model::load(dir.path());
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_LE(worst_logit(golden_, facts_["ort_logits"], *model),
            facts_["logits_tolerance_max_abs"].get<double>());
}

constexpr Fixture kFixtures[] = {
    {"encoder-portable", "", "fp32"},
    {"encoder-portable", "_fp16", "fp16"},
    {"encoder-portable", "_quantized", "q8"},
    {"encoder-portable", "_q4", "q4"},
    {"encoder-portable", "_q4f16", "q4f16"},
    {"encoder-fused", "", "fp32"},
    {"encoder-fused", "_fp16", "fp16"},
    {"encoder-fused", "_quantized", "q8"},
    {"encoder-fused", "_q4", "q4"},
    {"encoder-fused", "_q4f16", "q4f16"},
    {"encoder-full", "", "fp32"},
    {"encoder-full", "_fp16", "fp16"},
    {"encoder-full", "_quantized", "q8"},
    {"encoder-full", "_q4", "q4"},
    {"encoder-full", "_q4f16", "q4f16"},
    {"encoder-opset14", "", "fp32"},
    {"encoder-opset14", "_fp16", "fp16"},
    {"encoder-opset14", "_quantized", "q8"},
    {"encoder-opset14", "_q4", "q4"},
    {"encoder-opset14", "_q4f16", "q4f16"},
    {"encoder-dynamo", "", "fp32"},
    {"encoder-dynamo", "_fp16", "fp16"},
    {"encoder-dynamo", "_quantized", "q8"},
    {"encoder-dynamo", "_q4", "q4"},
    {"encoder-dynamo", "_q4f16", "q4f16"},
    {"decoder-portable", "", "fp32"},
    {"decoder-fused", "", "fp32"},
    {"decoder-fused", "_fp16", "fp16"},
    {"decoder-fused", "_quantized", "q8"},
    {"decoder-fused", "_q4", "q4"},
    {"decoder-fused", "_q4f16", "q4f16"},
};
INSTANTIATE_TEST_SUITE_P(, OnnxFixture, testing::ValuesIn(kFixtures), name_of);

}  // namespace
}  // namespace ettin
