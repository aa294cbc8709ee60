#include "model/load.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "model/find_tensors.h"

namespace ettin {

Result<WeightFormat> stored_format(const ModelConfig& config, const TensorSource& source,
                                   const LoadOptions& options) {
  std::vector<std::string> warnings;
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, &warnings));
  WeightFormat narrowest = WeightFormat::f32;
  for (const FoundTensor& found : plan) {
    if (!found.spec.name.starts_with("layers.")) continue;
    for (const StoredMatrix& m : found.blocks) narrowest = std::max(narrowest, m.format());
  }
  return narrowest;
}

Result<Network> build_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                              const TensorSource& source, const LoadOptions& options,
                              std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(plan, source));
  std::vector<WeightFormat> formats(plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].blocks.empty()) continue;
    ETTIN_ASSIGN_OR_RETURN(formats[i],
                           choose_format(plan[i], backend->format(), options.as_stored, source));
  }
  Network network;
  Weights& w = network.weights;
  w.layers.resize(static_cast<size_t>(config.num_layers));
  size_t next = 0;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, auto& slot) {
        const WeightFormat format = formats[next];
        const FoundTensor& found = plan[next++];
        if constexpr (std::is_same_v<std::decay_t<decltype(slot)>, NormWeight>) {
          slot = backend->pack_norm(*found.gain, spec.bias ? found.bias_blocks[0] : nullptr,
                                    config.norm_eps);
        } else if (spec.tied && !found.differs_from_embedding) {
          slot = spec.bias ? backend->with_bias(w.token_embedding, *found.bias_blocks[0])
                           : w.token_embedding;
        } else {
          slot = backend->pack_matrix({found.blocks, found.bias_blocks, nullptr, format}, spec.use);
        }
      },
      w);
  network.rope = std::make_unique<RopeTables>(*backend, config);
  network.config = std::move(config);
  network.backend = std::move(backend);
  return network;
}

}  // namespace ettin
