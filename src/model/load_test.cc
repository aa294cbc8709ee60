// One set of weights in every spelling and container is one network; anything else is one error.
#include "model/load.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "base/half.h"
#include "formats/safetensors.h"
#include "model/find_tensors.h"
#include "model/test_models.h"

namespace ettin {
namespace {

using test::run;
using test::TinyOutput;
using test::TinyWeights;
using Tensors = std::vector<StoredTensor>;

std::shared_ptr<const Backend> backend() {
  static const auto made = must_make({.name = "cpu", .threads = 1});
  return made;
}

Result<Network> build(const ModelConfig& config, const TensorSource& source,
                      std::vector<std::string>* warnings, bool allow_extra = false) {
  LoadOptions options;
  options.allow_extra_tensors = allow_extra;
  return build_network(config, backend(), source, options, warnings);
}

Result<Network> build(const ModelConfig& config, Tensors tensors,
                      std::vector<std::string>* warnings = nullptr, bool allow_extra = false) {
  std::vector<std::string> own;
  return build(config, TensorSource::from_tensors(std::move(tensors), nullptr, "memory"),
               warnings ? warnings : &own, allow_extra);
}

void rename(Tensors* tensors, std::string_view from, std::string_view to) {
  for (StoredTensor& t : *tensors) {
    if (t.name.starts_with(from)) t.name.replace(0, from.size(), to);
  }
}

// Wqkv as q_proj, k_proj and v_proj, as decoder files have it.
Tensors split_qkv(const Tensors& tensors) {
  Tensors out;
  for (const StoredTensor& t : tensors) {
    const size_t at = t.name.find("Wqkv");
    if (at == std::string::npos) {
      out.push_back(t);
      continue;
    }
    for (size_t part = 0; part < 3; ++part) {
      StoredTensor block = t;
      block.name.replace(at, 4, std::string(1, "qkv"[part]) + "_proj");
      block.shape[0] /= 3;
      block.bytes = t.bytes.subspan(part * t.bytes.size() / 3, t.bytes.size() / 3);
      out.push_back(block);
    }
  }
  return out;
}

class Load : public testing::TestWithParam<Arm> {};
INSTANTIATE_TEST_SUITE_P(BothArms, Load, testing::Values(kEncoder, kDecoder),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(Load, SpellingsOfNames) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  const Tensors fused = weights.tensors();
  const TinyOutput expected = run(*build(config, fused));

  const Tensors split = split_qkv(fused);
  EXPECT_EQ(split.size(), fused.size() + 2 * 5);
  EXPECT_EQ(run(*build(config, split)), expected);

  Tensors lm_head = split;
  rename(&lm_head, "head.", "lm_head.");
  EXPECT_EQ(run(*build(config, lm_head)), expected);

  Tensors bare = fused;
  rename(&bare, "model.", "");
  EXPECT_EQ(run(*build(config, bare)), expected);

  Tensors with_buffers = fused;
  with_buffers.push_back(fused[1]);
  with_buffers.back().name = "model.rotary_emb.inv_freq";
  EXPECT_EQ(run(*build(config, with_buffers)), expected);

  // decoder.weight stored although it is tied: equal is silent, different is used and reported.
  Tensors tied = fused;
  tied.push_back(fused[0]);
  tied.back().name = "decoder.weight";
  std::vector<std::string> warnings;
  EXPECT_EQ(run(*build(config, tied, &warnings)), expected);
  EXPECT_TRUE(warnings.empty());
  const TinyWeights other(config, 2);
  tied.back().bytes = other.tensors()[0].bytes;
  const TinyOutput untied = run(*build(config, tied, &warnings));
  EXPECT_EQ(untied.hidden, expected.hidden);
  EXPECT_NE(untied.logits, expected.logits);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("decoder.weight"), std::string::npos);
}

TEST_P(Load, ContainersAndShards) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  const Tensors tensors = weights.tensors();
  const TinyOutput expected = run(*build(config, tensors));
  std::vector<std::string> warnings;

  const auto load = [&](const test::TempDir& directory) {
    const Result<TensorSource> source = TensorSource::open(directory.path());
    EXPECT_TRUE(source.ok()) << source.status().to_string();
    auto network = build(config, *source, &warnings);
    EXPECT_TRUE(network.ok()) << network.status().to_string();
    return run(*network);
  };
  {
    const test::TempDir directory;
    ASSERT_TRUE(write_safetensors(directory.path() + "/model.safetensors", tensors).ok());
    EXPECT_EQ(load(directory), expected);
  }
  {
    const test::TempDir directory;
    std::string map;
    for (size_t part = 0; part < 3; ++part) {
      Tensors some;
      const std::string file = fmt::format("model-0000{}-of-00003.safetensors", part + 1);
      for (size_t i = part; i < tensors.size(); i += 3) {
        some.push_back(tensors[i]);
        map += fmt::format("{}\"{}\": \"{}\"", map.empty() ? "" : ", ", tensors[i].name, file);
      }
      ASSERT_TRUE(write_safetensors(directory.path() + "/" + file, some).ok());
    }
    directory.write("model.safetensors.index.json",
                    fmt::format(R"({{"metadata": {{}}, "weight_map": {{{}}}}})", map));
    EXPECT_EQ(load(directory), expected);
  }
  {
    const test::TempDir directory;
    std::vector<test::SavedTensor> specs;
    std::vector<std::string> storages;
    for (const StoredTensor& t : tensors) {
      test::SavedTensor spec;
      spec.name = t.name;
      spec.key = std::to_string(storages.size());
      spec.elements = static_cast<int64_t>(t.element_count());
      spec.shape.assign(t.shape.begin(), t.shape.end());
      spec.strides.assign(t.shape.size(), 1);
      if (t.shape.size() == 2) spec.strides[0] = spec.shape[1];
      specs.push_back(spec);
      storages.emplace_back(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    }
    directory.write("pytorch_model.bin",
                    test::make_zip(test::torch_items(test::state_dict(specs), storages)));
    EXPECT_EQ(load(directory), expected);
  }
  EXPECT_TRUE(warnings.empty());
}

// Stored halves are widened exactly: the same as a file of the rounded values in fp32.
TEST_P(Load, StoredTypes) {
  const ModelConfig config = test::tiny_config(GetParam());
  TinyWeights weights(config);
  for (const Dtype dtype : {Dtype::bf16, Dtype::f16, Dtype::f64}) {
    std::vector<std::vector<std::byte>> storage;
    TinyWeights rounded = weights;
    Tensors stored = weights.tensors();
    for (size_t i = 0; i < stored.size(); ++i) {
      std::vector<std::byte>& bytes =
          storage.emplace_back(weights.values[i].size() * dtype_bytes(dtype));
      for (size_t k = 0; k < weights.values[i].size(); ++k) {
        float& value = rounded.values[i][k];
        if (dtype == Dtype::f64) {
          const double wide = static_cast<double>(value);
          std::memcpy(bytes.data() + 8 * k, &wide, 8);
          continue;
        }
        const uint16_t half = dtype == Dtype::bf16 ? float_to_bf16(value) : float_to_fp16(value);
        std::memcpy(bytes.data() + 2 * k, &half, 2);
        value = dtype == Dtype::bf16 ? bf16_to_float(half) : fp16_to_float(half);
      }
    }
    for (size_t i = 0; i < stored.size(); ++i) {
      stored[i].dtype = dtype;
      stored[i].bytes = storage[i];
    }
    EXPECT_EQ(run(*build(config, stored)), run(*build(config, rounded.tensors())))
        << dtype_name(dtype);
  }
}

TEST_P(Load, ListsEverythingThatIsWrongInOneError) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  Tensors tensors = weights.tensors();
  std::erase_if(tensors, [](const StoredTensor& t) {
    return t.name == "model.layers.2.mlp.Wo.weight" || t.name == "decoder.bias";
  });
  for (StoredTensor& t : tensors) {
    if (t.name == "model.layers.1.attn.Wo.weight") t.shape[0] = 16;
    if (t.name == "model.final_norm.weight") t.name = "model.last_norm.weight";
  }
  const Result<Network> network = build(config, tensors);
  ASSERT_FALSE(network.ok());
  EXPECT_EQ(network.status().code(), StatusCode::bad_data);
  for (const char* expected :
       {"3 missing", "model.layers.2.mlp.Wo.weight", "decoder.bias", "model.final_norm.weight",
        "1 misshaped", "model.layers.1.attn.Wo.weight is [16, 32] and should be [32, 32]",
        "1 not used", "model.last_norm.weight"}) {
    EXPECT_NE(network.status().message().find(expected), std::string::npos)
        << expected << " in: " << network.status().message();
  }
}

TEST_P(Load, ExtraTensorsOnlyWhenAllowed) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  Tensors tensors = weights.tensors();
  tensors.push_back(tensors[1]);
  tensors.back().name = "optimizer.momentum";
  const Result<Network> refused = build(config, tensors);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().hint().find("allow_extra"), std::string::npos);
  std::vector<std::string> warnings;
  const Result<Network> allowed = build(config, tensors, &warnings, true);
  ASSERT_TRUE(allowed.ok());
  EXPECT_EQ(warnings.size(), 1U);
  EXPECT_EQ(run(*allowed), run(*build(config, weights.tensors())));
}

TEST_P(Load, RefusesIntegersAsWeights) {
  const ModelConfig config = test::tiny_config(GetParam());
  const TinyWeights weights(config);
  Tensors tensors = weights.tensors();
  tensors[1].dtype = Dtype::i32;
  const Result<Network> network = build(config, tensors);
  ASSERT_FALSE(network.ok());
  EXPECT_NE(network.status().message().find("not floating point"), std::string::npos);
}

// The list of tensors is the same for both arms, and its length is the published 6 L + 5.
TEST(TensorList, IsTheSameForBothArms) {
  for (const char* size : {"17m", "32m", "150m"}) {
    std::vector<std::string> names[2];
    for (const Arm arm : {kEncoder, kDecoder}) {
      const ModelConfig config = *published_config(size, arm);
      int64_t stored = 0;
      for_each_tensor(config, [&](const TensorSpec& spec) {
        names[arm == kDecoder].push_back(fmt::format("{} {} {}", spec.name, spec.rows, spec.cols));
        stored += (spec.tied ? 0 : 1) + (spec.bias ? 1 : 0);
      });
      EXPECT_EQ(stored, 6 * config.num_layers + 5);
    }
    EXPECT_EQ(names[0], names[1]);
  }
}

// Sums of longer rows would not fit into the 32 bits of the integer kernels.
TEST(ChooseFormat, RefusesRowsTooLongForIntegerSums) {
  const TensorSource source = TensorSource::from_tensors({}, nullptr, "memory");
  for (const auto& [length, fits] : {std::pair<uint64_t, bool>{131072, true}, {131073, false}}) {
    StoredTensor tensor;
    tensor.name = "layers.0.mlp.Wo.weight";
    tensor.shape = {1, length};
    FoundTensor found;
    found.blocks.emplace_back(&tensor);
    for (const WeightFormat format : {WeightFormat::q8, WeightFormat::q4}) {
      const auto chosen = choose_format(found, format, {}, source);
      EXPECT_EQ(chosen.ok(), fits) << length;
      if (!fits) {
        EXPECT_NE(chosen.status().message().find("131073 input features"), std::string::npos);
      }
    }
    EXPECT_TRUE(choose_format(found, WeightFormat::bf16, {}, source).ok());
  }
}

}  // namespace
}  // namespace ettin
