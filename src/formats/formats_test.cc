// Good files of every format: what is written is read back, what is published is understood.
#include <sys/stat.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "formats/hf_config.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/sentence_transformers.h"
#include "formats/tensor_source.h"
#include "formats/test_support.h"
#include "formats/test_torch_file.h"

namespace ettin::test {
namespace {

TEST(Safetensors, RoundTripsEveryTypeAndShape) {
  const std::string data = "0123456789abcdefghijklmnopqrstuv";
  std::vector<StoredTensor> tensors;
  for (const Dtype dtype : {Dtype::i8, Dtype::f64, Dtype::bf16, Dtype::boolean, Dtype::f32,
                            Dtype::i64, Dtype::f16, Dtype::u8, Dtype::i16, Dtype::i32}) {
    const size_t width = dtype_bytes(dtype);
    const std::string name(dtype_name(dtype));
    tensors.push_back({name + ".matrix", dtype, {2, 2}, bytes_of(data).first(4 * width)});
    tensors.push_back({name + ".scalar", dtype, {}, bytes_of(data).last(width)});
    tensors.push_back({name + ".empty", dtype, {3, 0}, {}});
  }
  const TempDir directory;
  const std::string path = directory.path() + "/model.safetensors";
  const Status written = write_safetensors(path, tensors, {{"format", "pt"}});
  ASSERT_TRUE(written.ok()) << written.to_string();
  const std::string contents = slurp(path);
  const auto file = parse_safetensors(bytes_of(contents), path);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->metadata.at("format"), "pt");
  EXPECT_EQ(file->tensors.size(), tensors.size());
  const auto source = TensorSource::open(directory.path());
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  for (const StoredTensor& tensor : tensors) {
    const StoredTensor* found = source->find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype);
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), tensor.bytes.begin(),
                           tensor.bytes.end()))
        << tensor.name;
  }
  // The order in which the caller lists them does not change the file; data starts at 8.
  std::reverse(tensors.begin(), tensors.end());
  ASSERT_TRUE(write_safetensors(path, tensors, {{"format", "pt"}}).ok());
  EXPECT_EQ(slurp(path), contents);
  EXPECT_EQ(static_cast<unsigned char>(contents[0]) % 8, 0);
  // Neither do pieces in any order.
  auto writer = SafetensorsWriter::create(path, tensors, {{"format", "pt"}});
  ASSERT_TRUE(writer.ok());
  for (const StoredTensor& tensor : tensors) {
    const size_t half = tensor.bytes.size() / 2;
    ASSERT_TRUE(writer->write(tensor.name, half, tensor.bytes.subspan(half)).ok());
    ASSERT_TRUE(writer->write(tensor.name, 0, tensor.bytes.first(half)).ok());
  }
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(slurp(path), contents);
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  for (const auto& [header, data] : std::vector<std::pair<std::string, size_t>>{
           {"{}", 0},
           {"{}      ", 0},
           {R"({"__metadata__":{"a":"b"}})", 0},
           {R"({"e":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
            R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
            R"("f":{"dtype":"F32","shape":[0,4],"data_offsets":[2,2]}})",
            2},
           {R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
            R"("a":{"shape":[],"data_offsets":[0,1],"dtype":"U8"}})",
            2}}) {
    const std::string bytes = safetensors_bytes(header, data);
    const auto file = parse_safetensors(bytes_of(bytes), "x");
    EXPECT_TRUE(file.ok()) << header << ": " << file.status().to_string();
  }
}

TEST(Safetensors, WriterRefusesWhatTheReaderWould) {
  const TempDir directory;
  const std::string path = directory.path() + "/x.safetensors";
  const std::string data = "abcd";
  const StoredTensor good{"a", Dtype::u8, {4}, bytes_of(data)};
  const auto refused = [&](std::vector<StoredTensor> tensors) {
    EXPECT_EQ(write_safetensors(path, tensors).code(), StatusCode::invalid_argument);
  };
  refused({good, good});
  refused({{"a", Dtype::u8, {5}, bytes_of(data)}});
  refused({{"", Dtype::u8, {4}, bytes_of(data)}});
  refused({{"\xff", Dtype::u8, {4}, bytes_of(data)}});
  refused({{"__metadata__", Dtype::u8, {4}, bytes_of(data)}});
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TensorSource, JoinsShardsAndPrefersSafetensors) {
  const TempDir directory;
  directory.write("pytorch_model.bin", good_torch_file());
  auto source = TensorSource::open(directory.path());
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  EXPECT_EQ(source->tensors().size(), 1U);
  EXPECT_EQ(source->where(), directory.path());

  directory.write("one.safetensors", good_safetensors());
  directory.write("two.safetensors",
                  safetensors_bytes(R"({"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  directory.write("model.safetensors.index.json",
                  R"({"metadata":{"total_size":33},"weight_map":{"c":"two.safetensors",)"
                  R"("a":"one.safetensors","b":"one.safetensors"}})");
  source = TensorSource::open(directory.path());
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  EXPECT_EQ(source->tensors().size(), 3U);
  EXPECT_EQ(source->files().size(), 3U);
  EXPECT_TRUE(source->files()[0].ends_with("index.json"));
  EXPECT_EQ(source->find("c")->bytes.size(), 1U);
  EXPECT_EQ(source->find("d"), nullptr);

  // The tensors outlive a move of the source.
  const TensorSource moved = std::move(*source);
  EXPECT_EQ(moved.find("a")->bytes[0], std::byte{0});

  const auto absent = TensorSource::open(directory.path() + "/no");
  EXPECT_EQ(absent.status().code(), StatusCode::not_found);
  EXPECT_EQ(TensorSource::open_file(directory.path() + "/x.gguf").status().code(),
            StatusCode::unsupported);
}

TEST(TensorSource, DtypeChoosesAmongOnnxFiles) {
  TempDir directory;
  EXPECT_FALSE(TensorSource::has_weights(directory.path()));
  directory.write("onnx/model_q4.onnx", "no graph");
  directory.write("onnx/other.onnx", "no graph");
  EXPECT_TRUE(TensorSource::has_weights(directory.path()));
  const auto absent = TensorSource::open(directory.path(), "fp16");
  EXPECT_EQ(absent.status().code(), StatusCode::not_found);
  EXPECT_NE(absent.status().hint().find("it has q4"), std::string::npos);
  for (const char* dtype : {"q4", "auto"}) {
    const auto damaged = TensorSource::open(directory.path(), dtype);
    EXPECT_EQ(damaged.status().code(), StatusCode::bad_data);
    EXPECT_NE(damaged.status().message().find("model_q4.onnx"), std::string::npos);
  }
}

TEST(TensorSource, ShardLinksMustStayInside) {
  const TempDir directory, outside;
  const std::string target = outside.write("one.safetensors", good_safetensors());
  std::filesystem::create_symlink(target, directory.path() + "/one.safetensors");
  directory.write("model.safetensors.index.json",
                  R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})");
  const auto source = TensorSource::open(directory.path());
  EXPECT_EQ(source.status().code(), StatusCode::bad_data);
  EXPECT_NE(source.status().message().find("leaves the model directory"), std::string::npos);
}

TEST(HfConfig, UnderstandsBothSpellings) {
  const std::string sizes =
      R"("vocab_size":96,"hidden_size":64,"intermediate_size":48.0,"num_hidden_layers":2,)"
      R"("num_attention_heads":1,"max_position_embeddings":512)";
  const TempDir directory;
  directory.write("config.json", R"({"model_type":"modernbert",)" + sizes +
                                     R"(,"global_rope_theta":160000.0,"local_rope_theta":null,)"
                                     R"("rope_scaling":{"type":"default"},"eos_token_id":5,)"
                                     R"("id2label":{"1":"b","0":"a"},"norm_eps":1e-05})");
  auto config = read_hf_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->intermediate_size, 48);
  EXPECT_TRUE(config->has_local_rope_theta);
  EXPECT_FALSE(config->local_rope_theta.has_value());
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{5}));
  EXPECT_EQ(config->id2label.at(1), "b");
  EXPECT_FALSE(config->norm_bias.has_value());

  directory.write(
      "config.json",
      R"({"model_type":"modernbert-decoder",)" + sizes +
          R"(,"rope_parameters":{"full_attention":{"rope_type":"default","rope_theta":160000.0},)"
          R"("sliding_attention":{"rope_theta":10000}},"eos_token_id":[5,6],)"
          R"("layer_types":["full_attention","sliding_attention"],"sliding_window":64})");
  config = read_hf_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->rope_parameters.at("sliding_attention").theta, 10000.0);
  EXPECT_EQ(config->eos_token_ids.size(), 2U);
  EXPECT_EQ(config->layer_types.size(), 2U);
  EXPECT_FALSE(config->has_local_rope_theta);

  directory.write("config.json", R"({"model_type":"modernbert",)" + sizes +
                                     R"(,"rope_parameters":{"rope_theta":7.5}})");
  config = read_hf_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->rope_parameters.size(), 2U);
  EXPECT_FALSE(config->q8_rotated);

  for (const auto& [about, rotated] : std::vector<std::pair<std::string, bool>>{
           {R"({"quant_method":"ettin","format":"q8","rotation":64})", true},
           {R"({"quant_method":"ettin","format":"q4"})", false},
           {R"({"quant_method":"another","rotation":"left"})", false}}) {
    directory.write("config.json", R"({"model_type":"modernbert",)" + sizes +
                                       R"(,"quantization_config":)" + about + "}");
    config = read_hf_config(directory.path());
    ASSERT_TRUE(config.ok()) << config.status().to_string();
    EXPECT_EQ(config->q8_rotated, rotated) << about;
  }
}

TEST(GenerationConfig, MayBeAbsent) {
  const TempDir directory;
  auto config = read_generation_config(directory.path());
  ASSERT_TRUE(config.ok());
  EXPECT_FALSE(config->has_value());
  directory.write("generation_config.json", R"({"bos_token_id":1,"eos_token_id":[2,3]})");
  config = read_generation_config(directory.path());
  ASSERT_TRUE(config.ok() && config->has_value());
  EXPECT_EQ((*config)->eos_token_ids, (std::vector<int64_t>{2, 3}));
  EXPECT_FALSE((*config)->pad_token_id.has_value());
}

TEST(SentenceModules, ReadsAChain) {
  const TempDir directory;
  EXPECT_FALSE(read_sentence_modules(directory.path())->has_value());
  directory.write("modules.json", R"([
    {"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
    {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
    {"idx":2,"name":"2","path":"2_Dense","type":"sentence_transformers.models.Dense.Dense"},
    {"idx":3,"name":"3","path":"3_Normalize","type":"Normalize"}])");
  directory.write("1_Pooling/config.json",
                  R"({"word_embedding_dimension":3,"pooling_mode":"lasttoken"})");
  directory.write("2_Dense/config.json",
                  R"({"in_features":3,"out_features":2,"bias":false,)"
                  R"("activation_function":"torch.nn.modules.linear.Identity"})");
  SavedTensor spec;
  spec.name = "linear.weight";
  directory.write("2_Dense/pytorch_model.bin",
                  make_zip(torch_items(state_dict({spec}), {floats({0, 1, 2, 3, 4, 5})})));
  directory.write("config_sentence_transformers.json",
                  R"({"prompts":{"query":"q: ","document":""},"default_prompt_name":"query"})");
  directory.write("sentence_bert_config.json", R"({"max_seq_length":512,"do_lower_case":false})");
  const auto result = read_sentence_modules(directory.path());
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  ASSERT_TRUE(result->has_value());
  const SentenceModules& modules = **result;
  ASSERT_EQ(modules.modules.size(), 3U);
  EXPECT_EQ(modules.modules[0].pooling, "last");
  EXPECT_EQ(modules.modules[1].activation, "identity");
  EXPECT_EQ(modules.modules[1].weights->find("linear.weight")->shape,
            (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(modules.modules[2].kind, SentenceModule::Kind::normalize);
  EXPECT_EQ(modules.prompts.size(), 2U);
  EXPECT_EQ(modules.default_prompt, "query");
  EXPECT_EQ(modules.max_seq_length, 512);
}

TEST(Npy, WritesTheHeaderNumPyExpects) {
  const TempDir directory;
  const std::string path = directory.path() + "/x.npy";
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  for (const auto& [columns, text] :
       {std::pair<int64_t, std::string>{3, "(2, 3)"}, {6, "(1, 6)"}}) {
    Result<NpyWriter> npy = NpyWriter::create(path);
    ASSERT_TRUE(npy.ok()) << npy.status().to_string();
    for (size_t row = 0; row < values.size(); row += static_cast<size_t>(columns)) {
      const auto one = std::span(values).subspan(row, static_cast<size_t>(columns));
      ASSERT_TRUE(npy->add(one, columns).ok());
    }
    EXPECT_EQ(npy->rows(), 6 / columns);
    EXPECT_EQ(npy->columns(), columns);
    EXPECT_FALSE(std::filesystem::exists(path));  // complete or absent
    ASSERT_TRUE(npy->finish().ok());
    const std::string contents = slurp(path);
    ASSERT_EQ(contents.size(), 128U + 24U);
    EXPECT_EQ(contents.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
    EXPECT_EQ(contents.find("{'descr': '<f4', 'fortran_order': False, 'shape': " + text + ", }"),
              10U);
    EXPECT_EQ(contents[127], '\n');
    EXPECT_EQ(contents.substr(128), std::string(reinterpret_cast<const char*>(values.data()), 24));
    std::filesystem::remove(path);
  }
  {
    Result<NpyWriter> npy = NpyWriter::create(path);
    EXPECT_EQ(npy->add(values, 4).code(), StatusCode::invalid_argument);
    EXPECT_EQ(npy->add(values, 0).code(), StatusCode::invalid_argument);
    ASSERT_TRUE(npy->add(values, 2).ok());
    EXPECT_EQ(npy->add(values, 3).code(), StatusCode::invalid_argument);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));  // given up: nothing is left
}

TEST(SharedData, ReadsTheModelsAndGoldens) {
  const std::string shared = ETTIN_SHARED_DIR;
  if (!std::filesystem::exists(shared + "/models/seedling-encoder/model.safetensors")) {
    GTEST_SKIP() << "SKIPPED: shared data is absent";
  }
  for (const char* model :
       {"/models/seedling-encoder", "/models/seedling-decoder", "/data/golden/torch/micro-encoder",
        "/data/golden/torch/tiny-decoder"}) {
    const auto config = read_hf_config(shared + model);
    ASSERT_TRUE(config.ok()) << config.status().to_string();
    EXPECT_TRUE(read_generation_config(shared + model).ok());
    EXPECT_TRUE(read_sentence_modules(shared + model).ok());
    const auto source = TensorSource::open(shared + model);
    ASSERT_TRUE(source.ok()) << source.status().to_string();
    const StoredTensor* embedding = source->find("model.embeddings.tok_embeddings.weight");
    ASSERT_NE(embedding, nullptr) << model;
    const std::vector<uint64_t> expected{static_cast<uint64_t>(config->vocab_size),
                                         static_cast<uint64_t>(config->hidden_size)};
    EXPECT_EQ(embedding->shape, expected);
  }
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shared + "/data/golden/torch")) {
    if (entry.path().extension() != ".safetensors") continue;
    ++files;
    const auto source = TensorSource::open_file(entry.path().string());
    EXPECT_TRUE(source.ok()) << source.status().to_string();
    // Written again and read again, nothing changes.
    const TempDir copy;
    ASSERT_TRUE(write_safetensors(copy.path() + "/x.safetensors", source->tensors()).ok());
    const auto again = TensorSource::open_file(copy.path() + "/x.safetensors");
    ASSERT_TRUE(again.ok()) << again.status().to_string();
    for (const StoredTensor& tensor : source->tensors()) {
      const StoredTensor* found = again->find(tensor.name);
      ASSERT_NE(found, nullptr);
      EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), tensor.bytes.begin(),
                             tensor.bytes.end()));
    }
  }
  EXPECT_GT(files, 0U);
}

}  // namespace
}  // namespace ettin::test
