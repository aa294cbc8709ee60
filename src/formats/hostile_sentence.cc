// Sentence-transformers folders that must be refused.
#include "formats/test_support.h"

namespace ettin::test {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kList = "modules.json";

std::string entry(const std::string& type, const std::string& path) {
  return R"({"idx":0,"name":"x","path":")" + path + R"(","type":")" + type + R"("})";
}
std::string listing(const std::vector<std::string>& entries) {
  std::string out = "[";
  for (const std::string& e : entries) out += (out.size() > 1 ? "," : "") + e;
  return out + "]";
}
const std::string kTransformer = entry("sentence_transformers.models.Transformer", "");
const std::string kPooling = entry("sentence_transformers.models.Pooling", "1_Pooling");
const std::string kDense = entry("sentence_transformers.models.Dense", "2_Dense");
const std::string kNorm = entry("sentence_transformers.models.LayerNorm", "2_Norm");
const std::string kMean = R"({"word_embedding_dimension":4,"pooling_mode_cls_token":false,)"
                          R"("pooling_mode_mean_tokens":true})";

HostileCase list_case(std::string name, std::string words, std::string list) {
  return {"sentence list " + std::move(name),
          Reader::sentence,
          kList,
          std::move(words),
          {{kList, std::move(list)}, {"1_Pooling/config.json", kMean}}};
}
HostileCase pooling_case(std::string name, std::string words, std::string config) {
  return {
      "sentence pooling " + std::move(name),
      Reader::sentence,
      "1_Pooling/config.json",
      std::move(words),
      {{kList, listing({kTransformer, kPooling})}, {"1_Pooling/config.json", std::move(config)}}};
}
HostileCase top_case(std::string name, std::string words, std::string file, std::string text) {
  return {"sentence " + std::move(name),
          Reader::sentence,
          file,
          std::move(words),
          {{kList, listing({kTransformer, kPooling})},
           {"1_Pooling/config.json", kMean},
           {file, std::move(text)}}};
}
// linear.weight F32 [2,4] and, with bias, linear.bias F32 [2].
std::string dense_weights(bool bias) {
  std::string header = R"({"linear.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]})";
  if (bias) header += R"(,"linear.bias":{"dtype":"F32","shape":[2],"data_offsets":[32,40]})";
  return safetensors_bytes(header + "}", bias ? 40 : 32);
}
HostileCase dense_case(std::string name, std::string words, std::string config,
                       std::string weights = dense_weights(true), std::string file = "2_Dense") {
  Files files{{kList, listing({kTransformer, kPooling, kDense})},
              {"1_Pooling/config.json", kMean},
              {"2_Dense/config.json", std::move(config)}};
  if (!weights.empty()) files.emplace_back("2_Dense/model.safetensors", std::move(weights));
  return {"sentence dense " + std::move(name), Reader::sentence, std::move(file), std::move(words),
          std::move(files)};
}
HostileCase norm_case(std::string name, std::string words, std::string config) {
  return {"sentence norm " + std::move(name),
          Reader::sentence,
          "2_Norm",
          std::move(words),
          {{kList, listing({kTransformer, kPooling, kNorm})},
           {"1_Pooling/config.json", kMean},
           {"2_Norm/config.json", std::move(config)},
           {"2_Norm/model.safetensors",
            safetensors_bytes(
                R"({"norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16)}}};
}

}  // namespace

std::vector<HostileCase> hostile_sentence_modules() {
  const auto third = [](const std::string& type, const std::string& path) {
    return listing({kTransformer, kPooling, entry(type, path)});
  };
  const std::string sizes = R"("in_features":4,"out_features":2)";
  return {
      list_case("empty file", "not valid JSON", ""),
      list_case("object", "a list of", "{}"),
      list_case("empty list", "a list of", "[]"),
      list_case("of a number", "should be an object", "[1]"),
      list_case("of 33 modules", "a list of", listing(std::vector<std::string>(33, kTransformer))),
      list_case("without a type", "\"type\" is missing", R"([{"path":""}])"),
      list_case("with a type that is a number", "should be a string", R"([{"type":1,"path":""}])"),
      list_case("with a path that is a number", "should be a string",
                R"([{"type":"sentence_transformers.models.Transformer","path":1}])"),
      list_case("transformer alone", "no pooling", listing({kTransformer})),
      list_case("pooling first", "module 0 is a Pooling", listing({kPooling, kTransformer})),
      list_case("two transformers", "module 1 is a Transformer",
                listing({kTransformer, kTransformer})),
      list_case("two poolings", "module 2 is a Pooling",
                listing({kTransformer, kPooling, kPooling})),
      list_case("dense before pooling", "module 1 is a Dense",
                listing({kTransformer, kDense, kPooling})),
      list_case("unknown type", "of the type \"sentence_transformers.models.LSTM\"",
                third("sentence_transformers.models.LSTM", "2_LSTM")),
      list_case("type from elsewhere", "of the type \"evil.Dense\"",
                third("evil.Dense", "2_Dense")),
      list_case("pylate type", "of the type \"pylate.models.Dense.Dense\"",
                third("pylate.models.Dense.Dense", "2_Dense")),
      list_case("transformer in a folder", "is in the folder",
                listing({entry("sentence_transformers.models.Transformer", "0_Transformer")})),
      list_case("parent folder", "refused folder", third("Dense", "../2_Dense")),
      list_case("absolute folder", "refused folder", third("Dense", "/tmp")),
      list_case("dot dot", "refused folder", third("Normalize", "..")),
      list_case("folder of a folder", "refused folder", third("Dense", "a/b")),
      list_case("dense without a folder", "names no folder", third("Dense", "")),
      {"sentence folder absent",
       Reader::sentence,
       "1_Pooling",
       "cannot open",
       {{kList, listing({kTransformer, kPooling})}}},
      pooling_case("empty file", "not valid JSON", ""),
      pooling_case("array", "should be a JSON object", "[]"),
      pooling_case("width 0", "1 to", R"({"word_embedding_dimension":0})"),
      pooling_case("two modes", "2 of the pooling_mode",
                   R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})"),
      pooling_case("two modes by default", "2 of the pooling_mode",
                   R"({"pooling_mode_cls_token":true})"),
      pooling_case("no mode", "0 of the pooling_mode", R"({"pooling_mode_mean_tokens":false})"),
      pooling_case("max", "not implemented",
                   R"({"pooling_mode_mean_tokens":false,"pooling_mode_max_tokens":true})"),
      pooling_case("mode a number", "true or false", R"({"pooling_mode_cls_token":1})"),
      pooling_case("unknown name", "\"pooling_mode\" is \"sum\"", R"({"pooling_mode":"sum"})"),
      pooling_case("name a list", "should be a string", R"({"pooling_mode":["mean"]})"),
      pooling_case("prompt left out", "include_prompt", R"({"include_prompt":false})"),
      dense_case("empty file", "not valid JSON", ""),
      dense_case("no sizes", "\"in_features\" is missing", "{}"),
      dense_case("in of 0", "is 0", R"({"in_features":0,"out_features":2})"),
      dense_case("out of 2^40", "1 to", R"({"in_features":4,"out_features":1099511627776})"),
      dense_case("in of another width", "takes vectors of 8",
                 R"({"in_features":8,"out_features":1})",
                 safetensors_bytes(
                     R"({"linear.weight":{"dtype":"F32","shape":[1,8],"data_offsets":[0,32]},)"
                     R"("linear.bias":{"dtype":"F32","shape":[1],"data_offsets":[32,36]}})",
                     36)),
      dense_case("bias a number", "true or false", "{" + sizes + R"(,"bias":1})"),
      dense_case(
          "unknown activation", "Hardswish",
          "{" + sizes + R"(,"activation_function":"torch.nn.modules.activation.Hardswish"})"),
      dense_case("activation from elsewhere", "evil.Tanh",
                 "{" + sizes + R"(,"activation_function":"evil.Tanh"})"),
      dense_case("on token embeddings", "token_embeddings",
                 "{" + sizes + R"(,"module_input_name":"token_embeddings"})"),
      dense_case("no weights", "no weights", "{" + sizes + "}", ""),
      dense_case("broken weights", "too few", "{" + sizes + "}", "x"),
      dense_case("bias missing", "\"linear.bias\" is missing", "{" + sizes + "}",
                 dense_weights(false)),
      dense_case("weight of another shape", "\"linear.weight\" is [2, 4]",
                 R"({"in_features":2,"out_features":4})"),
      dense_case(
          "weight of integers", "\"linear.weight\" is", "{" + sizes + R"(,"bias":false})",
          safetensors_bytes(
              R"({"linear.weight":{"dtype":"I32","shape":[2,4],"data_offsets":[0,32]}})", 32)),
      norm_case("no dimension", "\"dimension\" is missing", "{}"),
      norm_case("weight of another shape", "\"norm.weight\" is", R"({"dimension":8})"),
      norm_case("bias missing", "\"norm.bias\" is missing", R"({"dimension":4})"),
      top_case("prompts a list", "\"prompts\" should be", "config_sentence_transformers.json",
               R"({"prompts":[]})"),
      top_case("prompt a number", "should be a string", "config_sentence_transformers.json",
               R"({"prompts":{"query":1}})"),
      top_case("default prompt unknown", "which \"prompts\" lacks",
               "config_sentence_transformers.json",
               R"({"prompts":{"query":"q: "},"default_prompt_name":"document"})"),
      top_case("prompts not JSON", "not valid JSON", "config_sentence_transformers.json", "{"),
      top_case("length 0", "is 0", "sentence_bert_config.json", R"({"max_seq_length":0})"),
      top_case("length a string", "should be an integer", "sentence_bert_config.json",
               R"({"max_seq_length":"512"})"),
      top_case("lower case", "do_lower_case", "sentence_bert_config.json",
               R"({"do_lower_case":true})"),
  };
}

}  // namespace ettin::test
