// What tests/tokenizer compares with. Standard input and output are records of little-endian 32-bit
// integers and bytes.
// With one argument, a tokenizer.json:
//   in   'e' special max_length text          encode      -> n, n ids, n character offsets (2 n)
//        'p' special max_length text text     encode_pair -> the same
//        'd' skip n ids                       decode, no clean-up -> text
//   special, skip: 0 or 1. max_length: 0 for none. text: length in bytes, bytes.
// With OUT VOCAB_SIZE MIN_FREQUENCY SPACE_RUNS THREADS: trains on all texts of standard input and
// writes the tokenizer into OUT.
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "text/pretoken_counts.h"
#include "text/tokenizer.h"
#include "text/tokenizer_writer.h"
#include "text/train_bpe.h"

namespace {

static_assert(std::endian::native == std::endian::little);

int32_t read_int() {
  int32_t value = 0;
  std::cin.read(reinterpret_cast<char*>(&value), sizeof(value));
  return value;
}

std::string read_text() {
  std::string text(static_cast<size_t>(read_int()), '\0');
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

void write_int(int64_t value) {
  const auto narrow = static_cast<int32_t>(value);
  std::cout.write(reinterpret_cast<const char*>(&narrow), sizeof(narrow));
}

void write(const ettin::Encoding& encoding) {
  write_int(static_cast<int64_t>(encoding.ids.size()));
  for (const int32_t id : encoding.ids) write_int(id);
  for (const ettin::Offset offset : encoding.char_offsets) {
    write_int(offset.begin);
    write_int(offset.end);
  }
}

void encode(const ettin::Tokenizer& tokenizer, bool is_pair) {
  ettin::EncodeOptions options;
  options.with_offsets = true;
  options.add_special_tokens = read_int() != 0;
  options.max_length = read_int();
  const std::string text = read_text();
  write(is_pair ? tokenizer.encode_pair(text, read_text(), options)
                : tokenizer.encode(text, options));
}

void decode(const ettin::Tokenizer& tokenizer) {
  const bool skip = read_int() != 0;
  std::vector<int32_t> ids(static_cast<size_t>(read_int()));
  for (int32_t& id : ids) id = read_int();
  const std::string text = tokenizer.decode(ids, skip, false);
  write_int(static_cast<int64_t>(text.size()));
  std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
}

ettin::Status train(char** argv) {
  const ettin::TokenizerLayout layout = {.space_runs = std::atoi(argv[4]) != 0};
  ettin::PretokenCounts counts(layout.space_runs, ettin::shared_thread_pool(std::atoi(argv[5])));
  while (std::cin.peek() != std::char_traits<char>::eof()) {
    const std::string text = read_text();
    counts.add(std::vector<std::string_view>{text});
  }
  ettin::BpeTrainOptions options;
  ETTIN_ASSIGN_OR_RETURN(options.entries, ettin::bpe_entries(std::atoi(argv[2]), layout));
  options.min_frequency = std::atoi(argv[3]);
  ETTIN_ASSIGN_OR_RETURN(const ettin::TrainedBpe bpe, ettin::train_bpe(counts.words(), options));
  return ettin::write_tokenizer(argv[1], bpe, layout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 6) {
    std::cerr << "usage: tokenizer_probe TOKENIZER_JSON\n"
                 "       tokenizer_probe OUT VOCAB_SIZE MIN_FREQUENCY SPACE_RUNS THREADS\n";
    return 2;
  }
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  if (argc == 6) {
    const ettin::Status status = train(argv);
    if (!status.ok()) std::cerr << status.to_string() << "\n";
    return status.ok() ? 0 : 1;
  }
  const auto tokenizer = ettin::Tokenizer::load_file(argv[1]);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status().to_string() << "\n";
    return 1;
  }
  for (char what = 0; std::cin.get(what);) {
    if (what == 'd') {
      decode(**tokenizer);
    } else {
      encode(**tokenizer, what == 'p');
    }
  }
}
