#include "hub/wanted_files.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace ettin {
namespace {

using Paths = std::vector<std::string>;

Paths chosen(const Paths& listed, const WantedFiles& wanted = {}) {
  auto files = choose_files(listed, wanted, "org/name");
  return files.ok() ? *std::move(files) : Paths{files.status().message()};
}

WantedFiles dtype(std::string name) {
  WantedFiles wanted;
  wanted.dtype = std::move(name);
  return wanted;
}

const Paths kOnnx = {"README.md",
                     "config.json",
                     "onnx/model.onnx",
                     "onnx/model.onnx_data",
                     "onnx/model.onnx_data_1",
                     "onnx/model_q4.onnx",
                     "onnx/model_q4f16.onnx",
                     "onnx/model_quantized.onnx",
                     "tokenizer.json"};

TEST(WantedFiles, OnlyWhatIsLoadedAndConfigLast) {
  EXPECT_EQ(chosen({"README.md", "config.json", "model.safetensors", "pytorch_model.bin",
                    "tokenizer.json", "training/log.txt"}),
            (Paths{"model.safetensors", "tokenizer.json", "config.json"}));
}

TEST(WantedFiles, ShardsComeBeforeTheirIndex) {
  EXPECT_EQ(chosen({"config.json", "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors", "model.safetensors.index.json"}),
            (Paths{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                   "model.safetensors.index.json", "config.json"}));
}

// ONNX first only for what nothing else can be.
TEST(WantedFiles, SafetensorsComeBeforeOnnx) {
  Paths both = kOnnx;
  both.push_back("model.safetensors");
  EXPECT_EQ(chosen(both)[0], "model.safetensors");
  EXPECT_EQ(chosen(both, dtype("q8"))[0], "model.safetensors");
  EXPECT_EQ(chosen(both, dtype("q4f16"))[0], "onnx/model_q4f16.onnx");
}

// transformers.js' suffixes; q8 is _quantized there.
TEST(WantedFiles, DtypePicksTheOnnxFile) {
  EXPECT_EQ(chosen(kOnnx), (Paths{"onnx/model.onnx_data", "onnx/model.onnx_data_1",
                                  "onnx/model.onnx", "tokenizer.json", "config.json"}));
  EXPECT_EQ(chosen(kOnnx, dtype("fp32")), chosen(kOnnx));
  EXPECT_EQ(chosen(kOnnx, dtype("q8")),
            (Paths{"onnx/model_quantized.onnx", "tokenizer.json", "config.json"}));
  EXPECT_EQ(chosen(kOnnx, dtype("q4")),
            (Paths{"onnx/model_q4.onnx", "tokenizer.json", "config.json"}));
  EXPECT_EQ(chosen(kOnnx, dtype("q4f16"))[0], "onnx/model_q4f16.onnx");
  const auto absent = choose_files(kOnnx, dtype("fp16"), "org/name");
  EXPECT_EQ(absent.status().code(), StatusCode::not_found);
  EXPECT_NE(absent.status().hint().find("q4f16"), std::string::npos);
}

TEST(WantedFiles, WithoutWeights) {
  WantedFiles wanted;
  wanted.weights = false;
  EXPECT_EQ(chosen(kOnnx, wanted), (Paths{"tokenizer.json", "config.json"}));
}

TEST(WantedFiles, ModulesOfSentenceTransformers) {
  const Paths files =
      chosen({"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
              "2_Dense/pytorch_model.bin", "config.json", "model.safetensors", "modules.json"});
  for (const char* path : {"1_Pooling/config.json", "2_Dense/model.safetensors", "modules.json"}) {
    EXPECT_NE(std::find(files.begin(), files.end(), path), files.end()) << path;
  }
  EXPECT_EQ(std::find(files.begin(), files.end(), "2_Dense/pytorch_model.bin"), files.end());
}

TEST(WantedFiles, NoModelIsAnError) {
  EXPECT_FALSE(choose_files(Paths{"model.safetensors"}, {}, "org/name").ok());
  EXPECT_FALSE(choose_files(Paths{"config.json"}, {}, "org/name").ok());
}

}  // namespace
}  // namespace ettin
