#include "model/read_parameters.h"

#include <span>

#include <fmt/format.h>

#include "model/find_tensors.h"

namespace ettin {
namespace {

template <class T>
std::span<T> row_of(View view, int64_t row) {
  return {view.row<T>(row), static_cast<size_t>(view.cols)};
}

template <class T>
void read_tensor(const FoundTensor& found, Parameter& to) {
  if (found.spec.is_norm) {
    read_elements(*found.gain, 0, row_of<T>(to.weight, 0));
  } else if (!found.spec.tied) {
    int64_t row = 0;
    for (const StoredMatrix& block : found.blocks) {
      for (int64_t r = 0; r < block.out_features(); ++r, ++row) {
        read_row(block, r, row_of<T>(to.weight, row));
      }
    }
  }
  int64_t first = 0;  // blocks of a bias lie one after the other
  for (const StoredTensor* bias : found.bias_blocks) {
    const auto n = static_cast<int64_t>(bias->element_count());
    read_elements(*bias, 0, row_of<T>(to.bias.slice_cols(first, n), 0));
    first += n;
  }
}

}  // namespace

Status read_parameters(const ModelConfig& config, const TensorSource& source,
                       const LoadOptions& options, Parameters* parameters,
                       std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(plan, source));
  for (const FoundTensor& found : plan) {
    for (const StoredMatrix& block : found.blocks) {
      if (block.quantized()) {
        return Status(StatusCode::unsupported,
                      fmt::format("{} is stored as {}", found.spec.name, stored_name(block)),
                      "train from the fp32 or bf16 model it was made of");
      }
    }
    if (found.differs_from_embedding) {
      return Status(StatusCode::unsupported,
                    fmt::format("{} is tied to the embedding, but the file holds another matrix",
                                found.spec.name),
                    "set tie_word_embeddings to false in its config.json");
    }
  }
  size_t next = 0;
  for_each_tensor(
      config,
      [&](const TensorSpec&, Parameter& slot) {
        const FoundTensor& found = plan[next++];
        if (parameters->dtype == Dtype::f64) {
          read_tensor<double>(found, slot);
        } else {
          read_tensor<float>(found, slot);
        }
      },
      *parameters);
  return Status();
}

}  // namespace ettin
