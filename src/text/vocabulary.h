// Ids, their spelling in the file ("ĠParis") and the bytes they stand for (" Paris"). Immutable
// once filled.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ettin {

// The byte-level alphabet: 256 printable characters, one for every byte.
// (The rule is that of GPT-2: printable Latin-1 stands for itself, the others follow from U+0100.)
class ByteAlphabet {
 public:
  static const ByteAlphabet& get();

  std::string_view spelling(uint8_t byte) const {
    return {spelling_[byte].data(), byte_is_ascii_[byte] ? size_t{1} : size_t{2}};
  }
  std::string spell(std::string_view bytes) const;
  // The bytes that `spelling` stands for; nullopt when it holds a character of no byte.
  std::optional<std::string> read(std::string_view spelling) const;

 private:
  ByteAlphabet();

  std::array<std::array<char, 2>, 256> spelling_{};
  std::array<bool, 256> byte_is_ascii_{};
  std::array<int16_t, 0x180> byte_of_{};  // by code point; -1: none
};

class Vocabulary {
 public:
  // Both sizes are known from the parsed file, never from a number in it.
  Vocabulary(size_t id_limit, size_t entries);

  enum class Origin : uint8_t { model, added };  // of the BPE model, or an added token only

  // False when the id or the spelling is taken. Precondition: 0 <= id < id_limit.
  bool add(int32_t id, std::string_view spelling, Origin origin);

  std::optional<int32_t> find(std::string_view spelling) const;
  std::optional<int32_t> find_in_model(std::string_view spelling) const;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }  // largest id + 1
  bool contains(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < entries_.size() && entry(id).known;
  }
  // Both empty for an id outside the vocabulary.
  std::string_view spelling(int32_t id) const;
  std::string_view bytes(int32_t id) const;

 private:
  struct Entry {
    uint32_t spelling_begin = 0, spelling_size = 0;
    uint32_t bytes_begin = 0, bytes_size = 0;
    bool known = false;
    Origin origin = Origin::model;
  };

  const Entry& entry(int32_t id) const { return entries_[static_cast<size_t>(id)]; }
  size_t slot_of(std::string_view spelling) const;

  std::vector<Entry> entries_;
  std::string spellings_;
  std::string bytes_;
  std::vector<int32_t> slots_;  // open addressing; -1: free
};

}  // namespace ettin
