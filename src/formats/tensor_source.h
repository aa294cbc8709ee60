// The named tensors of a model directory, whatever kind of file holds them. Nothing is copied: the
// elements stay in memory-mapped files that the source keeps open.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ettin/status.h"
#include "formats/graph_facts.h"
#include "tensor/stored_tensor.h"

namespace ettin {

class TensorSource {
 public:
  // The weights of a model directory: the first that exists of model.safetensors,
  // model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json, and the ONNX
  // file that `dtype` names (base/onnx_names.h). ONNX comes first for what only it can be.
  static Result<TensorSource> open(const std::string& directory, std::string_view dtype = "auto");
  // One file: *.safetensors, *.onnx, or *.bin, *.pt, *.pth as a PyTorch zip archive.
  static Result<TensorSource> open_file(const std::string& path);
  // Tensors in memory that `owner` keeps alive; `where` names them in messages, `files` are what
  // they were read from.
  static TensorSource from_tensors(std::vector<StoredTensor> tensors,
                                   std::shared_ptr<const void> owner, std::string where,
                                   std::vector<std::string> files = {});
  // Whether `directory` holds one of the files that open() looks for.
  static bool has_weights(const std::string& directory);

  const StoredTensor* find(std::string_view name) const;  // nullptr when absent
  std::span<const StoredTensor> tensors() const { return tensors_; }
  const std::string& where() const { return where_; }  // directory or file, for messages
  // Of an ONNX file, what its graph says of the model; else nullptr.
  const GraphFacts* graph() const { return graph_.get(); }
  const std::vector<std::string>& files() const { return files_; }  // paths, index files first

 private:
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<std::shared_ptr<const void>> owners_;
  std::vector<std::string> files_;
  std::shared_ptr<const GraphFacts> graph_;
  std::string where_;
};

}  // namespace ettin
