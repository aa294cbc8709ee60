// Small good files of every format, cut at every length and changed at every byte. A reader answers
// with a value or a Status; under the sanitizers anything else ends the test.
#include <functional>
#include <iostream>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/test_alloc_probe.h"
#include "formats/hf_config.h"
#include "formats/safetensors.h"
#include "formats/sentence_transformers.h"
#include "formats/tensor_source.h"
#include "formats/test_support.h"
#include "formats/test_torch_file.h"
#include "formats/torch_file.h"

namespace ettin::test {
namespace {

using Parse = std::function<Status(const std::string&)>;

// Reads every byte of every tensor, so that a span outside the file is noticed.
Status touch(std::span<const StoredTensor> tensors) {
  unsigned sum = 0;
  for (const StoredTensor& tensor : tensors) {
    for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
    EXPECT_EQ(tensor.bytes.size(), tensor.element_count() * dtype_bytes(tensor.dtype));
  }
  volatile unsigned sink = sum;
  (void)sink;
  return {};
}

Status parse_safetensors_text(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());  // no byte behind the end
  const auto file = parse_safetensors(std::as_bytes(std::span(exact)), "f");
  return file.ok() ? touch(file->tensors) : file.status();
}
Status parse_torch_text(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());
  const auto file = parse_torch_file(std::as_bytes(std::span(exact)), "f");
  return file.ok() ? touch(file->tensors) : file.status();
}

// Every proper prefix must be refused, but for `harmless_tail` bytes at the end.
void cut(const std::string& good, const Parse& parse, size_t harmless_tail = 0) {
  const Status whole = parse(good);
  ASSERT_TRUE(whole.ok()) << whole.to_string();
  for (size_t length = 0; length + harmless_tail < good.size(); ++length) {
    const Status status = parse(good.substr(0, length));
    EXPECT_FALSE(status.ok()) << "length " << length;
    EXPECT_NE(status.code(), StatusCode::internal);
  }
}

size_t change(const std::string& good, const Parse& parse) {
  size_t refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ mask);
      const size_t before = bytes_requested();
      if (!parse(bad).ok()) ++refused;
      EXPECT_LE(bytes_requested() - before, size_t{4} << 20) << "byte " << at << " mask " << mask;
    }
  }
  std::cout << refused << " of " << good.size() * 9 << " single-byte changes refused\n";
  return refused;
}

std::string transposed_torch_file() {
  SavedTensor spec;
  spec.shape = {3, 2};
  spec.strides = {1, 3};
  return make_zip(torch_items(
      state_dict({SavedTensor{}, SavedTensor{"t", "FloatStorage", "0", 6, 0, {3, 2}, {1, 3}}}),
      {floats({0, 1, 2, 3, 4, 5})}));
}

TEST(Mutation, SafetensorsCut) { cut(good_safetensors(), parse_safetensors_text); }
TEST(Mutation, SafetensorsChanged) {
  EXPECT_GT(change(good_safetensors(), parse_safetensors_text), 0U);
}
// A file where most changes hit what nothing looks into.
std::string checkpoint_torch_file() {
  return make_zip(torch_items(composer_pickle({SavedTensor{}}, ""), {floats({0, 1, 2, 3, 4, 5})}));
}

TEST(Mutation, CheckpointCut) { cut(checkpoint_torch_file(), parse_torch_text); }
TEST(Mutation, CheckpointChanged) {
  EXPECT_GT(change(checkpoint_torch_file(), parse_torch_text), 0U);
}
TEST(Mutation, TorchCut) { cut(good_torch_file(), parse_torch_text); }
TEST(Mutation, TorchChanged) {
  EXPECT_GT(change(good_torch_file(), parse_torch_text), 0U);
  EXPECT_GT(change(transposed_torch_file(), parse_torch_text), 0U);
}

const char* const kConfig =
    R"({"model_type":"modernbert","vocab_size":96,"hidden_size":64,"intermediate_size":48,)"
    R"("num_hidden_layers":2,"num_attention_heads":1,"max_position_embeddings":512,)"
    R"("norm_eps":1e-05,"rope_parameters":{"full_attention":{"rope_theta":1.6e5}},)"
    R"("layer_types":["full_attention","sliding_attention"],"id2label":{"0":"a","1":"b"},)"
    R"("eos_token_id":[1,2],"local_rope_theta":null,"tie_word_embeddings":true})";

Status parse_config_text(const std::string& text) {
  const auto json = parse_json(text, "f");
  return json.ok() ? parse_hf_config(*json, "f").status() : json.status();
}

TEST(Mutation, ConfigCut) { cut(kConfig, parse_config_text); }
TEST(Mutation, ConfigChanged) { EXPECT_GT(change(kConfig, parse_config_text), 0U); }

// The readers of whole folders, with one file of a good folder replaced.
struct Folder {
  TempDir directory;
  std::string file;
  std::function<Status(const std::string&)> read;

  Status operator()(const std::string& text) const {
    directory.write(file, text);
    return read(directory.path());
  }
};

void mutate(Folder* folder, const std::string& good) {
  const Parse parse = [folder](const std::string& text) { return (*folder)(text); };
  cut(good, parse);
  EXPECT_GT(change(good, parse), 0U);
}

TEST(Mutation, ShardIndex) {
  Folder folder;
  folder.file = "model.safetensors.index.json";
  folder.directory.write("one.safetensors", good_safetensors());
  folder.read = [](const std::string& path) { return TensorSource::open(path).status(); };
  mutate(&folder, R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})");
}

TEST(Mutation, GenerationConfig) {
  Folder folder;
  folder.file = "generation_config.json";
  folder.read = [](const std::string& path) { return read_generation_config(path).status(); };
  mutate(&folder, R"({"bos_token_id":1,"eos_token_id":[2,3],"pad_token_id":4})");
}

TEST(Mutation, SentenceModules) {
  const std::vector<std::pair<std::string, std::string>> files{
      {"modules.json", R"([{"path":"","type":"sentence_transformers.models.Transformer"},)"
                       R"({"path":"1_Pooling","type":"sentence_transformers.models.Pooling"},)"
                       R"({"path":"2_Dense","type":"sentence_transformers.models.Dense"}])"},
      {"1_Pooling/config.json",
       R"({"word_embedding_dimension":3,"pooling_mode_mean_tokens":true})"},
      {"2_Dense/config.json", R"({"in_features":3,"out_features":2,"bias":false})"},
      {"2_Dense/model.safetensors",
       safetensors_bytes(R"({"linear.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})",
                         24)},
      {"config_sentence_transformers.json",
       R"({"prompts":{"query":"q: "},"default_prompt_name":"query"})"},
      {"sentence_bert_config.json", R"({"max_seq_length":512})"},
  };
  for (const auto& [name, good] : files) {
    SCOPED_TRACE(name);
    Folder folder;
    for (const auto& [other, contents] : files) folder.directory.write(other, contents);
    folder.file = name;
    folder.read = [](const std::string& path) { return read_sentence_modules(path).status(); };
    mutate(&folder, good);
  }
}

}  // namespace
}  // namespace ettin::test
