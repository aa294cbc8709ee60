// For the tests of this folder: safetensors made by hand, and the shape of a hostile case.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/test_files.h"

namespace ettin::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

inline std::string little_endian(uint64_t value, size_t width) {
  std::string out;
  for (size_t i = 0; i < width; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  return out;
}

// Length, header and data of a safetensors file; `data_bytes` zeros.
inline std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  return little_endian(header.size(), 8) + std::string(header) + std::string(data_bytes, '\0');
}

// A small good file: "a" F32 [2,3] and "b" F16 [4].
inline std::string good_safetensors() {
  return safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                           R"("b":{"dtype":"F16","shape":[4],"data_offsets":[24,32]}})",
                           32);
}

enum class Reader : uint8_t { weights, config, generation, sentence };

// Files in one directory that a reader must refuse, in words that name `file` and contain `words`.
struct HostileCase {
  std::string name;
  Reader reader;
  std::string file;
  std::string words;
  std::vector<std::pair<std::string, std::string>> files;
};

std::vector<HostileCase> hostile_safetensors();
std::vector<HostileCase> hostile_indexes();
std::vector<HostileCase> hostile_zips();
std::vector<HostileCase> hostile_pickles();
std::vector<HostileCase> hostile_configs();
std::vector<HostileCase> hostile_sentence_modules();

}  // namespace ettin::test
