// What is saved in a format computes, bit for bit, what loading the original in that format
// computes; damaged and hostile files of these formats are refused.
#include "model/save.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <list>

#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "base/half.h"
#include "model/test_models.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

using test::run;
using test::TempDir;
using test::TinyWeights;
using Tensors = std::vector<StoredTensor>;

constexpr WeightFormat kFormats[] = {WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4};

TensorSource source_of(const TinyWeights& weights) {
  return TensorSource::from_tensors(weights.tensors(), nullptr, "memory");
}

Status save(const ModelConfig& config, const TensorSource& source, WeightFormat format,
            const TempDir& directory) {
  std::vector<std::string> warnings;
  return save_tensors(config, source, {}, format, directory.path() + "/model.safetensors",
                      &warnings);
}

Result<Network> build(const ModelConfig& config, const TensorSource& source,
                      std::string_view backend, WeightFormat format, bool as_stored = false) {
  BackendOptions options;
  options.name = backend;
  options.format = format;
  options.threads = 1;
  LoadOptions load;
  load.as_stored = as_stored;
  std::vector<std::string> warnings;
  return build_network(config, must_make(options), source, load, &warnings);
}

TensorSource open(const TempDir& directory) {
  auto source = TensorSource::open(directory.path());
  EXPECT_TRUE(source.ok()) << source.status().to_string();
  return *std::move(source);
}

class Save : public testing::TestWithParam<Arm> {};
INSTANTIATE_TEST_SUITE_P(BothArms, Save, testing::Values(kEncoder, kDecoder),
                         [](const auto& param) { return std::string(param.param.name); });

// Rows of a run that q8 rotates and a rest that it does not.
ModelConfig wide_config(Arm arm) {
  ModelConfig config = test::tiny_config(arm);
  config.hidden_size = 96;
  config.intermediate_size = 72;
  return config;
}

// Catches rounding that differs from packing's by one level anywhere, and nibbles the wrong way.
TEST_P(Save, GivesTheBitsOfRoundingAtLoad) {
  const ModelConfig config = wide_config(GetParam());
  const TinyWeights weights(config);
  for (const WeightFormat format : kFormats) {
    const TempDir directory;
    ASSERT_TRUE(save(config, source_of(weights), format, directory).ok());
    const TensorSource saved = open(directory);
    EXPECT_EQ(*stored_format(config, saved, {}), format);
    for (const char* backend : {"ref", "cpu"}) {
      SCOPED_TRACE(fmt::format("{} {}", backend, format_name(format)));
      const auto expected = run(*build(config, source_of(weights), backend, format));
      EXPECT_EQ(run(*build(config, saved, backend, format)), expected);
      EXPECT_EQ(run(*build(config, saved, backend, format, /*as_stored=*/true)), expected);
    }
  }
}

// Expanded to fp32, a row is its levels times its scale, turned back.
TEST_P(Save, ExpandsToFloat) {
  const ModelConfig config = wide_config(GetParam());
  const TinyWeights weights(config);
  TinyWeights rounded = weights;
  for (size_t i = 0; i < rounded.values.size(); ++i) {
    if (rounded.shapes[i].second.size() != 2) continue;
    const size_t k = rounded.shapes[i].second[1];
    std::vector<int8_t> levels(k);
    for (size_t at = 0; at < rounded.values[i].size(); at += k) {
      const auto row = std::span(rounded.values[i]).subspan(at, k);
      rotate_row(row);
      const float scale = quantize_q8(row, levels);
      for (size_t c = 0; c < k; ++c) row[c] = static_cast<float>(levels[c]) * scale;
      rotate_row(row);
    }
  }
  const TempDir directory;
  ASSERT_TRUE(save(config, source_of(weights), WeightFormat::q8, directory).ok());
  EXPECT_EQ(run(*build(config, open(directory), "cpu", WeightFormat::f32)),
            run(*build(config, source_of(rounded), "cpu", WeightFormat::f32)));
}

TEST_P(Save, KeepsNamesAndLeavesOutCopies) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  Tensors tensors = weights.tensors();
  for (StoredTensor& t : tensors) {
    if (t.name.starts_with("head.")) t.name = "lm_" + t.name;
  }
  tensors.push_back(tensors[0]);
  tensors.back().name = "decoder.weight";  // tied: the embedding once more
  tensors.push_back(tensors[1]);
  tensors.back().name = "model.rotary_emb.inv_freq";
  const TempDir directory;
  ASSERT_TRUE(save(config, TensorSource::from_tensors(tensors, nullptr, "memory"), WeightFormat::q8,
                   directory)
                  .ok());
  const TensorSource saved = open(directory);
  EXPECT_EQ(saved.find("decoder.weight"), nullptr);
  EXPECT_EQ(saved.find("model.rotary_emb.inv_freq"), nullptr);
  const StoredTensor* matrix = saved.find("lm_head.dense.weight");
  const StoredTensor* scales = saved.find("lm_head.dense.weight_scale");
  ASSERT_TRUE(matrix != nullptr && scales != nullptr);
  EXPECT_EQ(matrix->dtype, Dtype::i8);
  EXPECT_EQ(scales->dtype, Dtype::f32);
  EXPECT_EQ(scales->shape, std::vector<uint64_t>{32});
  EXPECT_EQ(saved.find("model.final_norm.weight")->dtype, Dtype::f32);
  EXPECT_EQ(saved.find("decoder.bias")->dtype, Dtype::f32);
}

// Each matrix decides for itself: a file may hold several formats.
TEST_P(Save, MixedFormatsComputeAsStored) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  const TempDir q8, q4;
  ASSERT_TRUE(save(config, source_of(weights), WeightFormat::q8, q8).ok());
  ASSERT_TRUE(save(config, source_of(weights), WeightFormat::q4, q4).ok());
  const TensorSource eight = open(q8), four = open(q4);
  Tensors mixed;
  for (const StoredTensor& t : four.tensors()) {
    if (!t.name.starts_with("model.embeddings.tok")) mixed.push_back(t);
  }
  for (const StoredTensor& t : eight.tensors()) {
    if (t.name.starts_with("model.embeddings.tok")) mixed.push_back(t);
  }
  const TensorSource source = TensorSource::from_tensors(mixed, nullptr, "mixed");
  const auto same = [](const LinearWeight& a, const LinearWeight& b) {
    return a.format == b.format && a.data->size() == b.data->size() &&
           std::memcmp(a.data->data(), b.data->data(), a.data->size()) == 0;
  };
  for (const char* backend : {"ref", "cpu"}) {
    const auto network = build(config, source, backend, WeightFormat::q4, /*as_stored=*/true);
    ASSERT_TRUE(network.ok()) << network.status().to_string();
    const auto all_q8 = build(config, eight, backend, WeightFormat::q8);
    const auto all_q4 = build(config, four, backend, WeightFormat::q4);
    const Weights& w = network->weights;
    EXPECT_TRUE(same(w.token_embedding, all_q8->weights.token_embedding));
    EXPECT_TRUE(same(w.vocab_projection, all_q8->weights.vocab_projection));
    EXPECT_TRUE(same(w.layers[1].mlp_in, all_q4->weights.layers[1].mlp_in));
    EXPECT_TRUE(same(w.head_dense, all_q4->weights.head_dense));
    run(*network);
  }
  EXPECT_EQ(build(config, source, "cpu", WeightFormat::q4).status().code(),
            StatusCode::unsupported);
}

TEST(SaveErrors, NameTheTensorAndWhatIsPossible) {
  const ModelConfig config = test::tiny_config(kEncoder);
  TinyWeights weights(config);
  const TempDir directory, out;
  ASSERT_TRUE(save(config, source_of(weights), WeightFormat::q4, directory).ok());
  const TensorSource saved = open(directory);
  for (const Status& status : {build(config, saved, "cpu", WeightFormat::q8).status(),
                               save(config, saved, WeightFormat::q8, out)}) {
    EXPECT_EQ(status.code(), StatusCode::unsupported);
    EXPECT_NE(status.message().find("stores q4"), std::string::npos) << status.message();
    EXPECT_NE(status.hint().find("q4, bf16 and fp32"), std::string::npos) << status.hint();
  }
  EXPECT_TRUE(save(config, saved, WeightFormat::bf16, out).ok());

  const TempDir q8;
  ASSERT_TRUE(save(config, source_of(weights), WeightFormat::q8, q8).ok());
  ModelConfig unrotated = config;
  unrotated.q8_rotated = false;
  EXPECT_TRUE(save(unrotated, source_of(weights), WeightFormat::q8, out).ok());
  for (const Status& status : {build(unrotated, open(q8), "cpu", WeightFormat::f32).status(),
                               save(unrotated, open(q8), WeightFormat::bf16, out)}) {
    EXPECT_EQ(status.code(), StatusCode::unsupported);
    EXPECT_NE(status.message().find("no \"rotation\""), std::string::npos) << status.message();
    EXPECT_NE(status.hint().find("quantise the original again"), std::string::npos);
  }
  EXPECT_FALSE(save(config, saved, WeightFormat::f32, out).ok());

  weights.values[6][40] = NAN;
  for (const WeightFormat format : {WeightFormat::q8, WeightFormat::q4}) {
    const TempDir empty;
    const Status status = save(config, source_of(weights), format, empty);
    EXPECT_EQ(status.code(), StatusCode::bad_data);
    EXPECT_NE(status.message().find(weights.shapes[6].first), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(empty.path()));  // complete or absent
  }
}

struct Damage {
  const char* name;
  const char* words;
  std::function<void(Tensors*)> apply;
};

StoredTensor* named(Tensors* tensors, std::string_view name) {
  for (StoredTensor& t : *tensors) {
    if (t.name == name) return &t;
  }
  ADD_FAILURE() << name;
  return nullptr;
}

// Bytes that live as long as the test program.
std::span<const std::byte> keep(std::string bytes) {
  static std::list<std::string> kept;
  return std::as_bytes(std::span(kept.emplace_back(std::move(bytes))));
}

std::span<const std::byte> patched(const StoredTensor& t, size_t at, std::string_view bytes) {
  std::string copy(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  return keep(copy.replace(at, bytes.size(), bytes));
}

constexpr const char* kMatrix = "model.layers.1.mlp.Wo.weight";       // [32, 24]
constexpr const char* kScale = "model.layers.1.mlp.Wo.weight_scale";  // [32] or [32, 1]

std::vector<Damage> damages(WeightFormat format) {
  const bool q8 = format == WeightFormat::q8;
  const std::string inf = q8 ? std::string("\0\0\x80\x7f", 4) : std::string("\0\x7c", 2);
  const std::string nan = q8 ? std::string("\0\0\xc0\x7f", 4) : std::string("\0\x7e", 2);
  const auto scale = [](auto change) { return [change](Tensors* t) { change(named(t, kScale)); }; };
  const auto matrix = [](auto change) {
    return [change](Tensors* t) { change(named(t, kMatrix)); };
  };
  std::vector<Damage> all = {
      {"no scales", "1 missing: model.layers.1.mlp.Wo.weight_scale",
       [](Tensors* t) { std::erase_if(*t, [](const auto& x) { return x.name == kScale; }); }},
      {"scales without a matrix", "missing: model.layers.1.mlp.Wo.weight",
       [](Tensors* t) { std::erase_if(*t, [](const auto& x) { return x.name == kMatrix; }); }},
      {"scales of a floating matrix", "1 not used: model.layers.1.mlp.Wo.weight_scale",
       matrix([](StoredTensor* t) {
         *t = {kMatrix, Dtype::f32, {32, 24}, keep(std::string(32 * 24 * 4, '\0'))};
       })},
      {"scales for one row too few", "weight_scale is [31", scale([&](StoredTensor* t) {
         t->bytes = t->bytes.first(t->bytes.size() / 32 * 31);
         t->shape[0] = 31;
       })},
      {"no scale at all", "weight_scale is [0]", scale([&](StoredTensor* t) {
         t->bytes = {};
         t->shape = {0};
       })},
      {"scales of rank 3", "weight_scale is [32, 1, 1]", scale([&](StoredTensor* t) {
         t->shape = {32, 1, 1};
       })},
      {"scales of another type", "weight_scale holds int32", scale([q8](StoredTensor* t) {
         t->dtype = Dtype::i32;
         if (!q8) t->bytes = keep(std::string(128, '\0'));
       })},
      {"scales of the other format's type",
       q8 ? "holds fp16 and should hold fp32" : "holds fp32 and should hold fp16",
       scale([q8](StoredTensor* t) {
         t->dtype = q8 ? Dtype::f16 : Dtype::f32;
         t->bytes = keep(std::string(q8 ? 64 : 128, '\0'));
       })},
      {"an infinite scale", "weight_scale holds a scale that is not finite",
       scale([inf](StoredTensor* t) { t->bytes = patched(*t, t->bytes.size() / 2, inf); })},
      {"the last scale NaN", "weight_scale holds a scale that is not finite",
       scale(
           [nan](StoredTensor* t) { t->bytes = patched(*t, t->bytes.size() - nan.size(), nan); })},
      {"a row too few", "Wo.weight is [31", matrix([](StoredTensor* t) {
         t->bytes = t->bytes.first(t->bytes.size() / 32 * 31);
         t->shape[0] = 31;
       })},
      {"a matrix of rank 1", q8 ? "Wo.weight is [768]" : "Wo.weight is [384]",
       matrix([](StoredTensor* t) { t->shape = {t->bytes.size()}; })},
      {"the other format's type", "Wo.weight is [32",
       matrix([q8](StoredTensor* t) { t->dtype = q8 ? Dtype::u8 : Dtype::i8; })},
      {"booleans", "Wo.weight", matrix([](StoredTensor* t) { t->dtype = Dtype::boolean; })},
      {"a quantised norm", "model.final_norm.weight holds int8",
       [](Tensors* t) {
         StoredTensor* norm = named(t, "model.final_norm.weight");
         *norm = {norm->name, Dtype::i8, {32}, keep(std::string(32, '\1'))};
       }},
  };
  if (q8) {
    all.push_back({"a level of -128", "Wo.weight holds -128", matrix([](StoredTensor* t) {
                     t->bytes = patched(*t, t->bytes.size() - 1, "\x80");
                   })});
  }
  return all;
}

TEST(HostileQuantised, IsRefusedInWordsThatNameTheTensor) {
  const ModelConfig config = test::tiny_config(kDecoder);
  const TinyWeights weights(config);
  for (const WeightFormat format : {WeightFormat::q8, WeightFormat::q4}) {
    const TempDir directory;
    ASSERT_TRUE(save(config, source_of(weights), format, directory).ok());
    const TensorSource saved = open(directory);
    for (const Damage& damage : damages(format)) {
      SCOPED_TRACE(fmt::format("{} {}", format_name(format), damage.name));
      Tensors tensors(saved.tensors().begin(), saved.tensors().end());
      damage.apply(&tensors);
      const TensorSource bad = TensorSource::from_tensors(tensors, nullptr, "memory");
      for (const WeightFormat wanted : {format, WeightFormat::f32}) {
        const Status status = build(config, bad, "cpu", wanted).status();
        ASSERT_EQ(status.code(), StatusCode::bad_data) << status.to_string();
        EXPECT_NE(status.message().find(damage.words), std::string::npos) << status.message();
        EXPECT_FALSE(status.hint().empty());
      }
    }
  }
}

}  // namespace
}  // namespace ettin
