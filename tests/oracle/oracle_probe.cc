// Runs a model on token ids through the public interface and writes the raw numbers, for
// parity.py. Standard input: one sequence per line, ids separated by spaces.
//   oracle_probe --model DIR --hidden FILE --logits FILE [--backend B] [--dtype D] [--threads N]
//   oracle_probe --model DIR --generate N [...]
// The files get float32 values, little-endian, all rows of all sequences in order; standard output
// gets "TOKENS LOGIT_ROWS LOGIT_COLS" per sequence. With --generate it gets the N ids of a greedy
// continuation per sequence, every step a full forward pass (no cache: an independent path).
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ettin/ettin.h"

namespace {

static_assert(std::endian::native == std::endian::little);

using Options = std::map<std::string, std::string>;

bool parse_int(const std::string& text, int64_t* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

bool parse_options(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string_view key = argv[i];
    if (!key.starts_with("--") || i + 1 == argc) return false;
    const auto known = options->find(std::string(key.substr(2)));
    if (known == options->end()) return false;
    known->second = argv[i + 1];
  }
  return !options->at("model").empty();
}

bool read_sequences(std::istream& in, std::vector<ettin::ForwardInput>* inputs) {
  for (std::string line; std::getline(in, line);) {
    ettin::ForwardInput input;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      int64_t id = 0;
      if (!parse_int(word, &id) || id < 0 || id > INT32_MAX) return false;
      input.input_ids.push_back(static_cast<int32_t>(id));
    }
    if (!input.input_ids.empty()) inputs->push_back(std::move(input));
  }
  return !inputs->empty();
}

bool append(std::ofstream& file, const std::vector<float>& values) {
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
  return file.good();
}

int fail(const ettin::Status& status) {
  std::cerr << "oracle_probe: " << status.to_string() << '\n';
  return 1;
}

int write_forward(const ettin::Model& model, std::span<const ettin::ForwardInput> inputs,
                  const Options& options) {
  std::ofstream hidden(options.at("hidden"), std::ios::binary);
  std::ofstream logits(options.at("logits"), std::ios::binary);
  if (!hidden || !logits) {
    std::cerr << "oracle_probe: cannot write the files of --hidden and --logits\n";
    return 1;
  }
  const auto outputs = model.forward(inputs);
  if (!outputs.ok()) return fail(outputs.status());
  for (const ettin::ForwardOutput& output : *outputs) {
    if (!append(hidden, output.hidden) || !append(logits, output.logits)) {
      std::cerr << "oracle_probe: writing failed\n";
      return 1;
    }
    std::cout << output.tokens << ' ' << output.logit_rows << ' ' << output.logit_cols << '\n';
  }
  return 0;
}

int write_greedy(const ettin::Model& model, std::vector<ettin::ForwardInput> inputs,
                 int64_t count) {
  std::vector<std::vector<int64_t>> chosen(inputs.size());
  for (int64_t step = 0; step < count; ++step) {
    for (ettin::ForwardInput& input : inputs) {
      input.logit_rows = {{static_cast<int64_t>(input.input_ids.size()) - 1}};
    }
    const auto outputs = model.forward(inputs);
    if (!outputs.ok()) return fail(outputs.status());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::vector<float>& logits = (*outputs)[i].logits;
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      chosen[i].push_back(best);
      inputs[i].input_ids.push_back(static_cast<int32_t>(best));
    }
  }
  for (const auto& ids : chosen) {
    for (const int64_t id : ids) std::cout << id << ' ';
    std::cout << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = {{"model", ""},     {"hidden", ""},   {"logits", ""},   {"backend", "cpu"},
                     {"dtype", "auto"}, {"threads", "0"}, {"generate", "0"}};
  int64_t threads = 0, generate = 0;
  if (!parse_options(argc, argv, &options) || !parse_int(options["threads"], &threads) ||
      !parse_int(options["generate"], &generate)) {
    std::cerr << "usage: oracle_probe --model DIR (--hidden FILE --logits FILE | --generate N) "
                 "[--backend B] [--dtype D] [--threads N] < IDS\n";
    return 2;
  }
  std::vector<ettin::ForwardInput> inputs;
  if (!read_sequences(std::cin, &inputs)) {
    std::cerr << "oracle_probe: standard input must hold lines of token ids\n";
    return 2;
  }
  ettin::ModelOptions load;
  load.backend = options["backend"];
  load.dtype = options["dtype"];
  load.threads = static_cast<int>(threads);
  const auto model = ettin::Model::load(options["model"], load);
  if (!model.ok()) return fail(model.status());
  if (generate > 0) return write_greedy(*model, std::move(inputs), generate);
  return write_forward(*model, inputs, options);
}
