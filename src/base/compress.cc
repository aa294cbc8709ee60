#include "base/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"

namespace ettin {
namespace {

constexpr size_t kBlock = size_t{256} << 10;

// One step of an unpacker: how far it came in both buffers.
struct Step {
  size_t consumed = 0;
  size_t produced = 0;
};

class Unpacker {
 public:
  virtual ~Unpacker() = default;
  // Consumes or produces something whenever there is input and room.
  virtual Result<Step> step(std::span<const std::byte> in, std::span<char> out) = 0;
  // May the input end here?
  virtual bool complete() const = 0;
};

class PlainUnpacker : public Unpacker {
 public:
  Result<Step> step(std::span<const std::byte> in, std::span<char> out) override {
    const size_t n = std::min(in.size(), out.size());
    if (n > 0) std::memcpy(out.data(), in.data(), n);
    return Step{n, n};
  }
  bool complete() const override { return true; }
};

class ZstdUnpacker : public Unpacker {
 public:
  ZstdUnpacker() : stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdUnpacker() override { ZSTD_freeDStream(stream_); }

  Result<Step> step(std::span<const std::byte> in, std::span<char> out) override {
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    const size_t left = ZSTD_decompressStream(stream_, &target, &source);
    if (ZSTD_isError(left)) {
      return Status(StatusCode::bad_data,
                    fmt::format("damaged zstd data: {}", ZSTD_getErrorName(left)));
    }
    if (source.pos > 0 || target.pos > 0) complete_ = left == 0;
    return Step{source.pos, target.pos};
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DStream* stream_;
  bool complete_ = false;
};

class GzipUnpacker : public Unpacker {
 public:
  GzipUnpacker() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipUnpacker() override { inflateEnd(&stream_); }

  Result<Step> step(std::span<const std::byte> in, std::span<char> out) override {
    if (complete_ && !in.empty()) {  // another member follows
      inflateReset(&stream_);
      complete_ = false;
    }
    const size_t most_in = std::min(in.size(), kBlock), most_out = std::min(out.size(), kBlock);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(most_in);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(most_out);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      return Status(StatusCode::bad_data,
                    fmt::format("damaged gzip data: {}",
                                stream_.msg != nullptr ? stream_.msg : "not a gzip member"));
    }
    complete_ = code == Z_STREAM_END;
    return Step{most_in - stream_.avail_in, most_out - stream_.avail_out};
  }
  bool complete() const override { return complete_; }

 private:
  z_stream stream_ = {};
  bool complete_ = false;
};

std::unique_ptr<Unpacker> make_unpacker(Compression kind) {
  if (kind == Compression::zstd) return std::make_unique<ZstdUnpacker>();
  if (kind == Compression::gzip) return std::make_unique<GzipUnpacker>();
  return std::make_unique<PlainUnpacker>();
}

Status cut_off(std::string_view where) {
  return Status(StatusCode::bad_data, fmt::format("{}: the compressed data ends too early", where),
                "the file was cut off; fetch or make it again");
}

}  // namespace

Compression detect_compression(std::span<const std::byte> beginning) {
  const auto starts = [&](std::initializer_list<unsigned> magic) {
    if (beginning.size() < magic.size()) return false;
    return std::equal(magic.begin(), magic.end(), beginning.begin(),
                      [](unsigned a, std::byte b) { return a == static_cast<unsigned>(b); });
  };
  if (starts({0x28, 0xb5, 0x2f, 0xfd})) return Compression::zstd;
  return starts({0x1f, 0x8b, 0x08}) ? Compression::gzip : Compression::none;
}

std::string zstd_compress(std::span<const std::byte> bytes, int level) {
  ETTIN_CHECK(level >= 1 && level <= 19);
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
  if (ZSTD_isError(size)) throw std::bad_alloc();  // with this bound, nothing else can go wrong
  out.resize(size);
  return out;
}

std::string gzip_compress(std::span<const std::byte> bytes, int level) {
  ETTIN_CHECK(level >= 1 && level <= 9 && bytes.size() < size_t{1} << 31);
  z_stream stream = {};
  if (deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  ETTIN_CHECK(code == Z_STREAM_END);
  return out;
}

Result<std::string> decompress(std::span<const std::byte> bytes, Compression kind,
                               uint64_t max_bytes, std::string_view where) {
  const std::unique_ptr<Unpacker> unpacker = make_unpacker(kind);
  std::string out;
  std::vector<char> room(kBlock);
  for (;;) {
    const Result<Step> step = unpacker->step(bytes, room);
    if (!step.ok()) return step.status().with_context(where);
    bytes = bytes.subspan(step->consumed);
    if (step->produced > max_bytes - out.size()) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{}: more than {} bytes come out of it", where, max_bytes),
                    "the file is damaged or was made to fill the memory");
    }
    out.append(room.data(), step->produced);
    if (step->consumed == 0 && step->produced == 0) break;
  }
  if (!bytes.empty() || !unpacker->complete()) return cut_off(where);
  return out;
}

struct InputStream::State {
  std::string path;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{nullptr, &std::fclose};
  std::unique_ptr<Unpacker> unpacker;
  std::vector<std::byte> block = std::vector<std::byte>(kBlock);
  std::span<const std::byte> input;  // what of the block was not decoded yet
  bool ended = false;                // of the file

  Status fill() {
    const size_t n = std::fread(block.data(), 1, block.size(), file.get());
    if (n < block.size() && std::ferror(file.get()) != 0) {
      return Status(StatusCode::io_error, fmt::format("{}: cannot read", path));
    }
    ended = n < block.size();
    input = std::span(block).first(n);
    return {};
  }
};

InputStream::InputStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
InputStream::InputStream(InputStream&&) noexcept = default;
InputStream& InputStream::operator=(InputStream&&) noexcept = default;
InputStream::~InputStream() = default;

Result<InputStream> InputStream::open(const std::string& path) {
  if (!file_exists(path)) {
    return Status(StatusCode::not_found, fmt::format("{}: there is no such file", path));
  }
  auto state = std::make_unique<State>();
  state->path = path;
  state->file.reset(std::fopen(path.c_str(), "rbe"));
  if (state->file == nullptr) {
    return Status(StatusCode::io_error, fmt::format("{}: cannot open the file", path));
  }
  ETTIN_RETURN_IF_ERROR(state->fill());
  state->unpacker = make_unpacker(detect_compression(state->input));
  return InputStream(std::move(state));
}

Result<size_t> InputStream::read(std::span<char> room) {
  ETTIN_CHECK(!room.empty());
  for (;;) {
    if (state_->input.empty() && !state_->ended) ETTIN_RETURN_IF_ERROR(state_->fill());
    const Result<Step> step = state_->unpacker->step(state_->input, room);
    if (!step.ok()) return step.status().with_context(state_->path);
    state_->input = state_->input.subspan(step->consumed);
    if (step->produced > 0) return step->produced;
    if (step->consumed > 0) continue;
    if (!state_->input.empty() || !state_->ended) continue;
    if (!state_->unpacker->complete()) return cut_off(state_->path);
    return size_t{0};
  }
}

Result<std::optional<std::string>> InputStream::line(size_t max_bytes) {
  std::string out;
  for (;;) {
    if (at_ == block_.size()) {
      block_.resize(kBlock);
      at_ = 0;
      Result<size_t> n = read(block_);
      block_.resize(n.ok() ? *n : 0);
      if (!n.ok()) return n.status();
      if (*n == 0) {
        if (out.empty()) return std::optional<std::string>();
        break;
      }
    }
    const size_t end = block_.find('\n', at_);
    const size_t stop = std::min(end, block_.size());
    if (stop - at_ > max_bytes - out.size()) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{} line {}: longer than {} bytes", state_->path, lines_read_ + 1,
                                max_bytes));
    }
    out.append(block_, at_, stop - at_);
    at_ = stop;
    if (end == std::string::npos) continue;
    ++at_;
    break;
  }
  if (out.ends_with('\r')) out.pop_back();
  ++lines_read_;
  return std::optional<std::string>(std::move(out));
}

}  // namespace ettin
