// How often each pre-token occurs in a set of texts: all that training a BPE needs to know of them.
// Texts are made valid UTF-8, brought into NFC and split exactly as Tokenizer::encode does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace ettin {

// ModernBERT's tokenizer has added tokens for 24, 23, ..., 2 spaces.
inline constexpr int kLongestSpaceRun = 24;
inline constexpr int kSpaceRunTokens = kLongestSpaceRun - 1;

// The first place >= `from` where `text` can be cut without changing a pre-token: behind a single
// line end between characters that are no white space. The size when there is none.
size_t next_text_cut(std::string_view text, size_t from);

// Words with counts: open addressing over one block of bytes. Not thread-safe.
class WordCounts {
 public:
  struct Word {
    std::string_view bytes;
    int64_t count;
  };

  WordCounts();
  void add(std::string_view word, int64_t count);
  size_t size() const { return entries_.size(); }
  Word word(size_t i) const {
    return {std::string_view(bytes_).substr(entries_[i].begin, entries_[i].size),
            entries_[i].count};
  }

 private:
  struct Entry {
    uint64_t hash;
    size_t begin, size;
    int64_t count;
  };

  void grow();

  std::string bytes_;
  std::vector<Entry> entries_;  // in the order of appearance
  std::vector<size_t> slots_;   // an entry's number + 1; 0: free
};

// Memory follows the number of distinct pre-tokens, once per thread until words() is called. The
// counts do not depend on the number of threads. Not thread-safe: the threads are its own.
class PretokenCounts {
 public:
  // With `space_runs` 2 to 24 spaces are tokens of their own, found before the split.
  PretokenCounts(bool space_runs, std::shared_ptr<ThreadPool> threads);

  // Counts the pre-tokens of each text. Bytes that are no UTF-8 count as U+FFFD.
  void add(std::span<const std::string_view> texts);

  // The words of all texts, in an order that differs from run to run.
  const WordCounts& words();
  int64_t bytes() const { return bytes_; }  // of the texts as they were given
  int64_t space_runs() const;               // tokens that runs of spaces became

 private:
  struct Worker {
    WordCounts words;
    int64_t space_runs = 0;
    std::string normalized;
  };

  void count_piece(std::string_view piece, Worker* worker) const;

  bool with_space_runs_;
  std::shared_ptr<ThreadPool> threads_;
  std::vector<Worker> workers_;
  int64_t bytes_ = 0;
};

}  // namespace ettin
