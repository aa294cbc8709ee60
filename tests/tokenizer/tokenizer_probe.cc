// What tests/tokenizer/differential.py compares with. Arguments: a tokenizer.json. Standard input
// and output are records of little-endian 32-bit integers and bytes:
//   in   'e' special max_length text          encode      -> n, n ids, n character offsets (2 n)
//        'p' special max_length text text     encode_pair -> the same
//        'd' skip n ids                       decode, no clean-up -> text
//   special, skip: 0 or 1. max_length: 0 for none. text: length in bytes, bytes.
#include <bit>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tokenizer_probe TOKENIZER_JSON\n";
    return 2;
  }
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
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
