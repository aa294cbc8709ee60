// For the tests of this folder: temporary directories, whole files, safetensors made by hand, and
// the shape of a hostile case.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ettin::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "ettin-formats-XXXXXX";
    const char* made = ::mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

  // Writes `name`, which may lie in a folder, and returns its path.
  std::string write(const std::string& name, std::string_view contents) const {
    const std::filesystem::path path = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary)
        .write(contents.data(), static_cast<std::streamsize>(contents.size()));
    return path.string();
  }

 private:
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

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
