#include "model/follow_graph.h"

#include <cmath>

#include <fmt/format.h>

namespace ettin {
namespace {

// A table of fp16 cosines gives theta no better than this.
constexpr double kThetaTolerance = 0.05;
// Graphs in fp16 round the epsilon too, as a subnormal number.
constexpr double kEpsTolerance = 0.01;

Status contradiction(const GraphFacts& graph, std::string_view key, std::string stated,
                     std::string found) {
  return Status(StatusCode::bad_data,
                fmt::format("{}: config.json says {} {}, but the graph has {}", graph.file, key,
                            stated, found),
                "config.json belongs to another model");
}

Status compare(const GraphFacts& graph, std::string_view key, int64_t stated, int64_t found) {
  if (stated == found) return {};
  return contradiction(graph, key, std::to_string(stated), std::to_string(found));
}

Head head_of(const GraphFacts& graph, Head stated) {
  switch (graph.top) {
    case GraphFacts::Top::none:
      return Head::none;
    case GraphFacts::Top::language_model:
      return Head::language_model;
    case GraphFacts::Top::classifier:
      break;
  }
  return stated == Head::token_classification ? stated : Head::sequence_classification;
}

void take_theta(const GraphFacts& graph, bool global, ModelConfig* config,
                std::vector<std::string>* warnings) {
  double* theta = global ? &config->global_rope_theta : &config->local_rope_theta;
  for (const GraphFacts::Layer& layer : graph.layers) {
    if (layer.local == global || !layer.rope_theta) continue;
    if (!(*layer.rope_theta > 1 && *layer.rope_theta < 1e12))
      continue;  // a table of something else
    if (std::fabs(*layer.rope_theta / *theta - 1) <= kThetaTolerance) return;
    const double found = std::round(*layer.rope_theta);
    warnings->push_back(fmt::format(
        "{}: the graph turns {} layers by theta {}, config.json says {}; the graph is followed",
        graph.file, global ? "global" : "local", found, *theta));
    *theta = found;
    config->rope_reason = graph.file + ": the graph";
    return;
  }
}

}  // namespace

Status follow_graph(const GraphFacts* facts, ModelConfig* config,
                    std::vector<std::string>* warnings) {
  if (facts == nullptr) return {};
  const GraphFacts& graph = *facts;
  ModelConfig& c = *config;
  const auto layers = static_cast<int64_t>(graph.layers.size());
  ETTIN_RETURN_IF_ERROR(compare(graph, "num_hidden_layers", c.num_layers, layers));
  ETTIN_RETURN_IF_ERROR(compare(graph, "hidden_size", c.hidden_size, graph.hidden_size));
  ETTIN_RETURN_IF_ERROR(
      compare(graph, "intermediate_size", c.intermediate_size, graph.intermediate_size));
  ETTIN_RETURN_IF_ERROR(compare(graph, "vocab_size", c.vocab_size, graph.vocab_size));
  if (graph.num_heads) {
    ETTIN_RETURN_IF_ERROR(compare(graph, "num_attention_heads", c.num_heads, *graph.num_heads));
  }
  const bool causal = c.arm.direction == Direction::causal;
  if (graph.causal && *graph.causal != causal) {
    return contradiction(graph, "model_type", causal ? "modernbert-decoder" : "modernbert",
                         *graph.causal ? "a causal mask" : "no causal mask");
  }
  if (!graph.activation.empty() && graph.activation != activation_name(c.activation)) {
    return contradiction(graph, "hidden_activation", std::string(activation_name(c.activation)),
                         graph.activation);
  }
  if (std::fabs(graph.norm_eps - c.norm_eps) > kEpsTolerance * c.norm_eps) {
    return contradiction(graph, "norm_eps", fmt::format("{}", c.norm_eps),
                         fmt::format("{}", graph.norm_eps));
  }

  const Head head = head_of(graph, c.head);
  if (head != c.head) {
    if (head == Head::sequence_classification) {
      return contradiction(graph, "architectures", std::string(head_name(c.head)), "a classifier");
    }
    warnings->push_back(
        fmt::format("{}: the graph has the head {}, config.json says {}; the graph "
                    "is followed",
                    graph.file, head_name(head), head_name(c.head)));
    c.head = head;
  }
  std::vector<bool> is_global;
  for (const GraphFacts::Layer& layer : graph.layers) is_global.push_back(!layer.local);
  if (is_global != c.layer_is_global) {
    std::string pattern;
    for (const bool global : is_global) pattern += global ? 'G' : 'l';
    warnings->push_back(fmt::format(
        "{}: the graph's layers are {} (global, local), config.json says otherwise; the graph is "
        "followed",
        graph.file, pattern));
    c.layer_is_global = std::move(is_global);
  }
  for (const GraphFacts::Layer& layer : graph.layers) {
    if (!layer.window_left) continue;
    const int64_t stated = causal ? c.causal_window_keys - 1 : c.window_each_side;
    if (*layer.window_left != stated) {
      warnings->push_back(fmt::format(
          "{}: local layers of the graph see {} keys before each token, by config.json {}; the "
          "graph is followed",
          graph.file, *layer.window_left, stated));
      c.window_each_side = *layer.window_left;
      c.causal_window_keys = *layer.window_left + 1;
    }
    break;
  }
  take_theta(graph, true, &c, warnings);
  take_theta(graph, false, &c, warnings);
  return {};
}

Status follow_graph(const GraphFacts* graph, ModelConfig* config, Json* json,
                    std::vector<std::string>* warnings) {
  if (graph == nullptr) return {};
  const ModelConfig before = *config;
  ETTIN_RETURN_IF_ERROR(follow_graph(graph, config, warnings));
  Json& out = *json;
  out.erase("transformers.js_config");  // of the ONNX files
  const ModelConfig& c = *config;
  const bool causal = c.arm.direction == Direction::causal;
  if (c.head != before.head) {
    out["architectures"] = {
        c.head == Head::none ? (causal ? "ModernBertDecoderModel" : "ModernBertModel")
                             : (causal ? "ModernBertDecoderForCausalLM" : "ModernBertForMaskedLM")};
  }
  if (c.layer_is_global != before.layer_is_global) {
    out["layer_types"] = Json::array();
    for (const bool global : c.layer_is_global) {
      out["layer_types"].push_back(global ? "full_attention" : "sliding_attention");
    }
  }
  if (c.window_each_side != before.window_each_side) {
    out.erase("sliding_window");
    out["local_attention"] = 2 * (causal ? c.causal_window_keys : c.window_each_side);
  }
  if (c.global_rope_theta != before.global_rope_theta ||
      c.local_rope_theta != before.local_rope_theta) {
    out.erase("rope_parameters");
    out["global_rope_theta"] = c.global_rope_theta;
    out["local_rope_theta"] = c.local_rope_theta;
  }
  return {};
}

}  // namespace ettin
