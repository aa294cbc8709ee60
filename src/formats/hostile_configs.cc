// config.json and generation_config.json that must be refused.
#include "formats/test_support.h"

namespace ettin::test {
namespace {

HostileCase raw_case(std::string name, std::string words, std::string text) {
  return {"config " + std::move(name),
          Reader::config,
          "config.json",
          std::move(words),
          {{"config.json", std::move(text)}}};
}

// The required keys with `key` replaced by `value`, or added; no value leaves the key out.
std::string config_with(const std::string& key, const std::string& value) {
  std::string out;
  bool placed = value.empty();
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"model_type", "\"modernbert\""},
                                                        {"vocab_size", "96"},
                                                        {"hidden_size", "64"},
                                                        {"intermediate_size", "48"},
                                                        {"num_hidden_layers", "3"},
                                                        {"num_attention_heads", "2"},
                                                        {"max_position_embeddings", "512"}}) {
    if (name == key && value.empty()) continue;
    out += (out.empty() ? "{\"" : ",\"") + name + "\":" + (name == key ? value : text);
    placed = placed || name == key;
  }
  if (!placed) out += ",\"" + key + "\":" + value;
  return out + "}";
}

HostileCase key_case(const std::string& key, const std::string& value, std::string words) {
  return raw_case(key + " = " + (value.empty() ? "absent" : value.substr(0, 60)), std::move(words),
                  config_with(key, value));
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

HostileCase generation_case(std::string name, std::string words, std::string text) {
  return {"generation_config " + std::move(name),
          Reader::generation,
          "generation_config.json",
          std::move(words),
          {{"generation_config.json", std::move(text)}}};
}

}  // namespace

std::vector<HostileCase> hostile_configs() {
  std::vector<HostileCase> cases{
      {"config absent", Reader::config, "config.json", "cannot open", {}},
      raw_case("empty", "not valid JSON", ""),
      raw_case("array", "should be a JSON object", "[]"),
      raw_case("null", "should be a JSON object", "null"),
      raw_case("cut", "not valid JSON", R"({"model_type":"modernbert")"),
      raw_case("byte order mark", "byte order mark", "\xef\xbb\xbf{}"),
      raw_case("NaN", "not valid JSON", config_with("norm_eps", "NaN")),
      raw_case("Infinity", "not valid JSON", config_with("norm_eps", "Infinity")),
      raw_case("1e999", "not valid JSON", config_with("norm_eps", "1e999")),
      raw_case("duplicate key", "duplicate key", R"({"model_type":"modernbert","model_type":"x"})"),
      raw_case("forty levels", "nested deeper",
               "{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}"),
      raw_case("17 MiB of spaces", "at most", std::string(size_t{17} << 20, ' ')),
      key_case("model_type", "", "\"model_type\" is missing"),
      key_case("model_type", "null", "\"model_type\" is missing"),
      key_case("model_type", "7", "should be a string"),
      key_case("model_type", "\"bert\"", "\"model_type\" is \"bert\""),
      key_case("model_type", "\"ModernBERT\"", "\"model_type\" is \"ModernBERT\""),
      key_case("architectures", "\"ModernBertModel\"", "a list of strings"),
      key_case("architectures", "[1]", "a list of strings"),
      key_case("hidden_activation", "1", "\"hidden_activation\" should be a string"),
      key_case("classifier_pooling", "[]", "\"classifier_pooling\" should be a string"),
      key_case("hidden_size", "65", "not a multiple"),
      key_case("num_attention_heads", "3", "not a multiple"),
      key_case("num_attention_heads", "64", "even size"),
      key_case("num_attention_heads", "128", "not a multiple"),
      key_case("num_hidden_layers", "4097", "1 to 4096"),
      key_case("num_hidden_layers", "1000000000", "1 to 4096"),
      key_case("hidden_size", "16777216", "the limit is"),
      key_case("intermediate_size", "16777217", "1 to 16777216"),
      key_case("vocab_size", "18446744073709551616", "64 bits"),
      key_case("vocab_size", "18446744073709551615", "should be an integer"),
      key_case("vocab_size", "96.5", "should be an integer"),
      key_case("vocab_size", "1e300", "should be an integer"),
      key_case("max_position_embeddings", "1000000000000", "1 to 16777216"),
      key_case("norm_eps", "0", "above 0"),
      key_case("norm_eps", "-1e-5", "above 0"),
      key_case("norm_eps", "2", "at most 1"),
      key_case("norm_eps", "\"1e-5\"", "should be a number"),
      key_case("layer_norm_eps", "0.0", "above 0"),
      key_case("norm_bias", "0", "true or false"),
      key_case("attention_bias", "\"false\"", "true or false"),
      key_case("mlp_bias", "[]", "true or false"),
      key_case("decoder_bias", "1", "true or false"),
      key_case("classifier_bias", "{}", "true or false"),
      key_case("tie_word_embeddings", "\"yes\"", "true or false"),
      key_case("global_attn_every_n_layers", "0", "1 to 4096"),
      key_case("global_attn_every_n_layers", "-3", "1 to 4096"),
      key_case("local_attention", "-128", "\"local_attention\" is -128"),
      key_case("local_attention", "0", "\"local_attention\" is 0"),
      key_case("local_attention", "99999999", "1 to 16777216"),
      key_case("sliding_window", "-1", "\"sliding_window\" is -1"),
      key_case("sliding_window", "true", "should be an integer"),
      key_case("layer_types", "\"full_attention\"", "a list of strings"),
      key_case("layer_types", "[\"full_attention\"]", "has 1 entries"),
      key_case("layer_types", "[\"full_attention\",\"linear\",\"full_attention\"]", "linear"),
      key_case("layer_types", "[1,2,3]", "a list of strings"),
      key_case("global_rope_theta", "0", "above 0"),
      key_case("global_rope_theta", "-160000", "above 0"),
      key_case("global_rope_theta", "1e300", "at most"),
      key_case("local_rope_theta", "\"x\"", "should be a number"),
      key_case("rope_theta", "false", "should be a number"),
      key_case("rope_scaling", "{\"type\":\"linear\",\"factor\":2}", "\"type\" is \"linear\""),
      key_case("rope_scaling", "{\"rope_type\":\"yarn\"}", "\"rope_type\" is \"yarn\""),
      key_case("rope_scaling", "2.0", "should be an object"),
      key_case("rope_parameters", "[]", "should be an object"),
      key_case("rope_parameters", "{\"rope_type\":\"dynamic\"}", "dynamic"),
      key_case("rope_parameters", "{\"rope_theta\":0}", "above 0"),
      key_case("rope_parameters", "{\"full_attention\":7}", "should be an object"),
      key_case("rope_parameters", "{\"full_attention\":{\"rope_type\":\"llama3\"}}", "llama3"),
      key_case("rope_parameters", "{\"sliding_attention\":{\"rope_theta\":\"1\"}}",
               "should be a number"),
      key_case("quantization_config", "\"q8\"", "should be an object"),
      key_case("quantization_config", R"({"quant_method":"ettin"})", "\"format\" is missing"),
      key_case("quantization_config", R"({"quant_method":"ettin","format":"q5"})", "is \"q5\""),
      key_case("quantization_config", R"({"quant_method":"ettin","format":"q8"})",
               "\"rotation\" is missing, but should be 64"),
      key_case("quantization_config", R"({"quant_method":"ettin","format":"q8","rotation":32})",
               "\"rotation\" is 32, but should be 64"),
      key_case("quantization_config", R"({"quant_method":"ettin","format":"q4","rotation":0})",
               "\"rotation\" is 0, but should be 64"),
      key_case("num_labels", "0", "1 to"),
      key_case("num_labels", "1000000000", "1 to"),
      key_case("id2label", "[]", "an object"),
      key_case("id2label", "{\"a\":\"x\"}", "not an index"),
      key_case("id2label", "{\"-1\":\"x\"}", "not an index"),
      key_case("id2label", "{\"0x1\":\"x\"}", "not an index"),
      key_case("id2label", "{\"\":\"x\"}", "not an index"),
      key_case("id2label", "{\"99999999999999999999\":\"x\"}", "not an index"),
      key_case("id2label", "{\"0\":1}", "should be a string"),
      key_case("id2label", "{\"0\":\"x\",\"00\":\"y\"}", "twice"),
      key_case("id2label", "{\"0\":\"x\",\"2\":\"y\"}", "an index 2"),
      key_case("id2label", "{\"0\":\"x\"},\"num_labels\":2", "\"num_labels\" is 2"),
      key_case("problem_type", "1", "should be a string"),
      key_case("pad_token_id", "-1", "0 to"),
      key_case("cls_token_id", "1.5", "an integer"),
      key_case("bos_token_id", "\"1\"", "should be an integer"),
      key_case("sep_token_id", "99999999999", "0 to"),
      key_case("eos_token_id", "-2", "0 to"),
      key_case("eos_token_id", "[1,-2]", "a list of integers"),
      key_case("eos_token_id", "[1.0]", "a list of integers"),
      key_case("eos_token_id", "[[1]]", "a list of integers"),
      key_case("eos_token_id", "[\"1\"]", "a list of integers"),
      key_case("eos_token_id", "{}", "should be an integer"),
      generation_case("empty", "not valid JSON", ""),
      generation_case("array", "should be a JSON object", "[]"),
      generation_case("eos a string", "should be an integer", R"({"eos_token_id":"</s>"})"),
      generation_case("eos negative", "0 to", R"({"eos_token_id":-1})"),
      generation_case("eos list of lists", "a list of integers", R"({"eos_token_id":[[1]]})"),
      generation_case("eos list of 100", "at most 64",
                      R"({"eos_token_id":[1)" + repeated(",1", 99) + "]}"),
      generation_case("pad of 2^63", "should be an integer",
                      R"({"pad_token_id":9223372036854775808})"),
      generation_case("bos a bool", "should be an integer", R"({"bos_token_id":true})"),
  };
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings"}) {
    const std::string name = std::string("\"") + key + "\"";
    cases.push_back(key_case(key, "", name + " is missing"));
    cases.push_back(key_case(key, "null", name + " is missing"));
    cases.push_back(key_case(key, "0", name + " is 0"));
    cases.push_back(key_case(key, "-1", name + " is -1"));
    cases.push_back(key_case(key, "\"64\"", name + " should be an integer"));
    cases.push_back(key_case(key, "2147483648", name + " is 2147483648"));
  }
  return cases;
}

}  // namespace ettin::test
