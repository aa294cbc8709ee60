#include "text/vocabulary.h"

#include <bit>

#include "base/utf8.h"
#include "text/byte_hash.h"
#include "text/unicode.h"

namespace ettin {

const ByteAlphabet& ByteAlphabet::get() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
    const char32_t c = printable ? byte : next++;
    std::string utf8;
    append_utf8(c, &utf8);
    utf8.copy(spelling_[byte].data(), 2);
    byte_is_ascii_[byte] = utf8.size() == 1;
    byte_of_[c] = static_cast<int16_t>(byte);
  }
}

std::string ByteAlphabet::spell(std::string_view bytes) const {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 2);
  for (const char c : bytes) out += spelling(static_cast<uint8_t>(c));
  return out;
}

std::optional<std::string> ByteAlphabet::read(std::string_view spelling) const {
  std::string out;
  out.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size();) {
    const char32_t c = next_code_point(spelling, &i);
    if (c >= byte_of_.size() || byte_of_[c] < 0) return std::nullopt;
    out.push_back(static_cast<char>(byte_of_[c]));
  }
  return out;
}

Vocabulary::Vocabulary(size_t id_limit, size_t entries)
    : entries_(id_limit), slots_(std::bit_ceil(2 * entries + 1), -1) {}

size_t Vocabulary::slot_of(std::string_view wanted) const {
  const size_t last = slots_.size() - 1;
  size_t slot = hash_bytes(wanted, hash_seed()) & last;
  while (slots_[slot] >= 0 && spelling(slots_[slot]) != wanted) slot = (slot + 1) & last;
  return slot;
}

bool Vocabulary::add(int32_t id, std::string_view spelling, Origin origin) {
  Entry& entry = entries_[static_cast<size_t>(id)];
  const size_t slot = slot_of(spelling);
  if (entry.known || slots_[slot] >= 0) return false;
  slots_[slot] = id;
  entry.known = true;
  entry.origin = origin;
  entry.spelling_begin = static_cast<uint32_t>(spellings_.size());
  entry.spelling_size = static_cast<uint32_t>(spelling.size());
  spellings_ += spelling;
  entry.bytes_begin = static_cast<uint32_t>(bytes_.size());
  // A spelling outside the byte alphabet, such as an added run of spaces, stands for itself.
  bytes_ += ByteAlphabet::get().read(spelling).value_or(std::string(spelling));
  entry.bytes_size = static_cast<uint32_t>(bytes_.size()) - entry.bytes_begin;
  return true;
}

std::optional<int32_t> Vocabulary::find(std::string_view spelling) const {
  const int32_t id = slots_[slot_of(spelling)];
  if (id < 0) return std::nullopt;
  return id;
}

std::optional<int32_t> Vocabulary::find_in_model(std::string_view spelling) const {
  const std::optional<int32_t> id = find(spelling);
  return id && entry(*id).origin == Origin::model ? id : std::nullopt;
}

std::string_view Vocabulary::spelling(int32_t id) const {
  if (!contains(id)) return {};
  return std::string_view(spellings_).substr(entry(id).spelling_begin, entry(id).spelling_size);
}

std::string_view Vocabulary::bytes(int32_t id) const {
  if (!contains(id)) return {};
  return std::string_view(bytes_).substr(entry(id).bytes_begin, entry(id).bytes_size);
}

}  // namespace ettin
