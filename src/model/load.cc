#include "model/load.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ettin {
namespace {

constexpr std::string_view kEmbedding = "embeddings.tok_embeddings.weight";

// The stored tensors of one TensorSpec.
struct Found {
  std::vector<const StoredTensor*> blocks;
  std::vector<const StoredTensor*> bias_blocks;
};

bool is_backbone(std::string_view name) {
  return name.starts_with("embeddings.") || name.starts_with("layers.") ||
         name.starts_with("final_norm");
}

bool same_values(const StoredTensor& a, const StoredTensor& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  }
  std::array<float, 1024> x, y;
  for (uint64_t i = 0; i < a.element_count(); i += x.size()) {
    const size_t n = std::min<uint64_t>(x.size(), a.element_count() - i);
    read_elements(a, i, std::span(x).first(n));
    read_elements(b, i, std::span(y).first(n));
    if (std::memcmp(x.data(), y.data(), n * sizeof(float)) != 0) return false;
  }
  return true;
}

// Looks every spec up and remembers what was wrong, so that one error can say it all.
class Finder {
 public:
  explicit Finder(const TensorSource& source) : source_(source) {
    prefix_ = source.find(kEmbedding) != nullptr ? "" : "model.";
  }

  // `required` false: absence is not an error.
  Found find(const TensorSpec& spec, bool required = true) {
    Found found;
    const std::string base = file_name(spec.name);
    const auto rows = static_cast<uint64_t>(spec.rows), cols = static_cast<uint64_t>(spec.cols);
    const auto shape =
        spec.is_norm ? std::vector<uint64_t>{cols} : std::vector<uint64_t>{rows, cols};
    const std::vector<uint64_t> bias_shape{spec.is_norm ? cols : rows};
    if (spec.name.ends_with("attn.Wqkv") && source_.find(base + ".weight") == nullptr &&
        source_.find(qkv_name(base, 'q') + ".weight") != nullptr) {
      for (const char part : {'q', 'k', 'v'}) {
        const std::string name = qkv_name(base, part);
        take(name + ".weight", {rows / 3, cols}, true, &found.blocks);
        if (spec.bias) take(name + ".bias", {rows / 3}, true, &found.bias_blocks);
      }
      return found;
    }
    take(base + ".weight", shape, required, &found.blocks);
    if (spec.bias) take(base + ".bias", bias_shape, true, &found.bias_blocks);
    return found;
  }

  // Tensors of the source that nothing asked for.
  std::vector<std::string> extra() const {
    std::vector<std::string> names;
    for (const StoredTensor& t : source_.tensors()) {
      if (!used_.contains(t.name) && !t.name.ends_with("inv_freq")) names.push_back(t.name);
    }
    return names;
  }

  Status error(const std::vector<std::string>& extra) const {
    if (missing_.empty() && misshaped_.empty() && extra.empty()) return {};
    std::string message = fmt::format("{}: the tensors do not fit config.json", source_.where());
    const auto list = [&](std::string_view what, const std::vector<std::string>& names) {
      if (names.empty()) return;
      constexpr size_t kShown = 40;
      const size_t shown = std::min(names.size(), kShown);
      message +=
          fmt::format("; {} {}: {}", names.size(), what,
                      fmt::join(names.begin(), names.begin() + static_cast<long>(shown), ", "));
      if (names.size() > shown) message += ", ...";
    };
    list("missing", missing_);
    list("misshaped", misshaped_);
    list("not used", extra);
    return Status(StatusCode::bad_data, message,
                  missing_.empty() && misshaped_.empty()
                      ? "load with allow_extra_tensors to ignore what is not used"
                      : "the weights belong to another config.json, or a file is incomplete");
  }

 private:
  static std::string qkv_name(std::string base, char part) {
    base.replace(base.size() - 4, 4, fmt::format("{}_proj", part));  // "Wqkv" -> "q_proj"
    return base;
  }

  std::string file_name(const std::string& name) const {
    if (is_backbone(name)) return prefix_ + name;
    if (name.starts_with("head.") && source_.find(name + ".weight") == nullptr &&
        source_.find("lm_" + name + ".weight") != nullptr) {
      return "lm_" + name;
    }
    return name;
  }

  void take(const std::string& name, const std::vector<uint64_t>& shape, bool required,
            std::vector<const StoredTensor*>* out) {
    const StoredTensor* t = source_.find(name);
    if (t == nullptr) {
      if (required) missing_.push_back(name);
      return;
    }
    used_.insert(name);
    if (t->shape != shape) {
      misshaped_.push_back(fmt::format("{} is {} and should be {}", name, shape_to_string(t->shape),
                                       shape_to_string(shape)));
    } else if (!dtype_info(t->dtype).floating) {
      misshaped_.push_back(
          fmt::format("{} holds {}, not floating point", name, dtype_name(t->dtype)));
    } else {
      out->push_back(t);
    }
  }

  const TensorSource& source_;
  std::string prefix_;
  std::set<std::string> used_;
  std::vector<std::string> missing_, misshaped_;
};

// What is stored for every entry of the list of tensors, in its order.
Result<std::vector<Found>> find_tensors(const ModelConfig& config, const TensorSource& source,
                                        const LoadOptions& options,
                                        std::vector<std::string>* warnings) {
  Finder finder(source);
  std::vector<Found> plan;
  for_each_tensor(config, [&](const TensorSpec& spec) {
    plan.push_back(finder.find(spec, /*required=*/!spec.tied));
  });
  const std::vector<std::string> extra = finder.extra();
  ETTIN_RETURN_IF_ERROR(
      finder.error(options.allow_extra_tensors ? std::vector<std::string>() : extra));
  if (!extra.empty()) {
    warnings->push_back(
        fmt::format("{}: ignored {} tensors that nothing uses", source.where(), extra.size()));
  }
  return plan;
}

}  // namespace

Status check_tensors(const ModelConfig& config, const TensorSource& source,
                     const LoadOptions& options, std::vector<std::string>* warnings) {
  return find_tensors(config, source, options, warnings).status();
}

Result<Network> build_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                              const TensorSource& source, const LoadOptions& options,
                              std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Found> plan,
                         find_tensors(config, source, options, warnings));
  Network network;
  Weights& w = network.weights;
  w.layers.resize(static_cast<size_t>(config.num_layers));
  const StoredTensor* embedding = plan.front().blocks.front();
  size_t next = 0;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, auto& slot) {
        const Found& found = plan[next++];
        if constexpr (std::is_same_v<std::decay_t<decltype(slot)>, NormWeight>) {
          slot = backend->pack_norm(*found.blocks[0], spec.bias ? found.bias_blocks[0] : nullptr,
                                    config.norm_eps);
        } else if (spec.tied &&
                   (found.blocks.empty() || same_values(*found.blocks[0], *embedding))) {
          slot = spec.bias ? backend->with_bias(w.token_embedding, *found.bias_blocks[0])
                           : w.token_embedding;
        } else {
          if (spec.tied) {
            warnings->push_back(fmt::format(
                "{}: decoder.weight differs from the embedding although config.json ties them; "
                "using it as stored",
                source.where()));
          }
          slot = backend->pack_matrix(
              {{found.blocks.begin(), found.blocks.end()}, found.bias_blocks}, spec.use);
        }
      },
      w);
  network.rope = std::make_unique<RopeTables>(*backend, config);
  network.config = std::move(config);
  network.backend = std::move(backend);
  return network;
}

}  // namespace ettin
