#include "model/load.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"
#include "formats/packed_file.h"
#include "model/find_tensors.h"

namespace ettin {

Result<WeightFormat> stored_format(const ModelConfig& config, const TensorSource& source,
                                   const LoadOptions& options) {
  std::vector<std::string> warnings;
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, &warnings));
  LoadOptions as_it_is = options;
  as_it_is.as_stored = true;
  WeightFormat narrowest = WeightFormat::f32;
  for (const FoundTensor& found : plan) {
    if (!found.spec.name.starts_with("layers.")) continue;
    if (found.blocks.empty()) continue;
    ETTIN_ASSIGN_OR_RETURN(const WeightFormat format,
                           choose_format(found, WeightFormat::f32, as_it_is, source));
    narrowest = std::max(narrowest, format);
  }
  return narrowest;
}

namespace {

// What a file of packed matrices must have been made from and for.
Result<uint64_t> packed_identity(const Backend& backend, const TensorSource& source,
                                 std::span<const FoundTensor> plan,
                                 std::span<const WeightFormat> formats) {
  constexpr int kLayoutVersion = 2;  // of backend/cpu/pack.h; raise it when the layout changes
  std::string text = fmt::format("{} {} {}\n", kLayoutVersion, backend.name(), backend.isa());
  for (const std::string& file : source.files()) {
    ETTIN_ASSIGN_OR_RETURN(const std::string stamp, file_stamp(file));
    text += fmt::format("{} {}\n", file.substr(file.rfind('/') + 1), stamp);
  }
  for (size_t i = 0; i < plan.size(); ++i) {
    const TensorSpec& spec = plan[i].spec;
    text += fmt::format("{} {} {} {}\n", spec.name, spec.rows, spec.cols, format_name(formats[i]));
  }
  return fast_hash(std::as_bytes(std::span(text)));
}

// The packed matrices of a model in the order of the list: from a file, or for one.
class PackedMatrices {
 public:
  static Result<PackedMatrices> open(const std::string& path, uint64_t identity,
                                     ThreadPool& threads, std::vector<std::string>* warnings) {
    PackedMatrices m;
    if (path.empty()) return m;
    m.wanted_ = true;
    Result<PackedFile> file = PackedFile::open(path, identity, threads);
    if (file.ok()) {
      m.kept_ = file->blobs();
    } else if (file.status().code() == StatusCode::bad_data) {
      warnings->push_back(fmt::format("{}; making it anew", file.status().message()));
    }
    return m;
  }

  std::shared_ptr<const Buffer> next() const {
    return packed_.size() < kept_.size() ? kept_[packed_.size()] : nullptr;
  }
  void add(const LinearWeight& weight) { packed_.push_back(weight.data); }

  void write(const std::string& path, uint64_t identity, ThreadPool& threads,
             std::vector<std::string>* warnings) const {
    if (!wanted_ || packed_ == kept_) return;
    const Status written = PackedFile::write(path, identity, packed_, threads);
    if (!written.ok()) {
      warnings->push_back("packed weights are not kept: " + written.to_string());
    }
  }

 private:
  bool wanted_ = false;
  std::vector<std::shared_ptr<const Buffer>> kept_, packed_;
};

// Tells every matrix which one a forward multiplies by after it.
void link_in_order_of_use(const ModelConfig& config, Weights* weights) {
  LinearWeight* last = nullptr;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, auto& slot) {
        if constexpr (std::is_same_v<std::decay_t<decltype(slot)>, LinearWeight>) {
          if (spec.use == MatrixUse::embedding) return;
          if (last != nullptr) last->next = slot.data.get();
          last = &slot;
        }
      },
      *weights);
  last->next = weights->layers.front().qkv.data.get();
}

}  // namespace

Result<Network> build_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                              const TensorSource& source, const LoadOptions& options,
                              std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(plan, source));
  std::vector<WeightFormat> formats(plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].blocks.empty()) continue;
    ETTIN_ASSIGN_OR_RETURN(formats[i], choose_format(plan[i], backend->format(), options, source));
  }
  uint64_t identity = 0;
  if (!options.packed_file.empty()) {
    ETTIN_ASSIGN_OR_RETURN(identity, packed_identity(*backend, source, plan, formats));
  }
  ETTIN_ASSIGN_OR_RETURN(
      PackedMatrices matrices,
      PackedMatrices::open(options.packed_file, identity, backend->threads(), warnings));
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
          slot = backend->pack_matrix({found.blocks, found.bias_blocks, matrices.next(), format},
                                      spec.use);
          matrices.add(slot);
        }
      },
      w);
  link_in_order_of_use(config, &w);
  matrices.write(options.packed_file, identity, backend->threads(), warnings);
  network.rope = std::make_unique<RopeTables>(*backend, config);
  network.config = std::move(config);
  network.backend = std::move(backend);
  return network;
}

}  // namespace ettin
