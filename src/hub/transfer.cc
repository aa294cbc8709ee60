#include "hub/transfer.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>

#include "base/check.h"
#include "ettin/version.h"

namespace ettin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostRedirects = 8;
constexpr size_t kMostHeaderBytes = 256 << 10;

struct Address {
  std::string whole, scheme, host, port;

  bool same_origin(const Address& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
  bool may_carry_token() const {
    return scheme == "https" || host == "localhost" || host == "127.0.0.1" || host == "[::1]";
  }
};

// `reference` as seen from `base`; nullopt: no address, or of another kind than HTTP.
std::optional<Address> parse_address(const std::string& base, const std::string& reference) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
  if (url == nullptr) throw std::bad_alloc();
  if (!base.empty() && curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    return {};
  }
  if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) return {};
  const auto part = [&](CURLUPart which, unsigned flags) {
    char* text = nullptr;
    std::string value;
    if (curl_url_get(url.get(), which, &text, flags) == CURLUE_OK && text != nullptr) value = text;
    curl_free(text);
    return value;
  };
  Address address{part(CURLUPART_URL, 0), part(CURLUPART_SCHEME, 0), part(CURLUPART_HOST, 0),
                  part(CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  if (address.scheme != "http" && address.scheme != "https") return {};
  // A name and password in an address would go to a host that nobody chose.
  if (!part(CURLUPART_USER, 0).empty() || address.host.empty()) return {};
  return address;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// One attempt of one job, over all its redirects.
class Attempt {
 public:
  Attempt(Job& job, const TransferSettings& settings)
      : job_(job), settings_(settings), request_(job.attempt()) {}
  ~Attempt() { curl_slist_free_all(header_list_); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  Job& job() const { return job_; }
  Outcome& outcome() { return outcome_; }
  CURL* handle() const { return handle_.get(); }

  bool start() {
    outcome_.answers.emplace_back();
    const auto address = parse_address("", request_.url);
    if (!address) {
      outcome_.trouble = fmt::format("\"{:.200}\" is no address", request_.url);
      return false;
    }
    first_ = *address;
    prepare(*address);
    return true;
  }

  // After curl is done with one hop: true when there is another.
  bool follow(CURLcode code) {
    if (code != CURLE_OK && outcome_.refused.ok()) {
      outcome_.trouble = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
      return false;
    }
    const Answer& answer = outcome_.last();
    const std::string location = answer.header("location");
    if (!outcome_.refused.ok() || !is_redirect(answer.status) || location.empty()) return false;
    const auto next = parse_address(current_.whole, location);
    if (!next || (current_.scheme == "https" && next->scheme != "https")) {
      outcome_.refused = Status(StatusCode::network_error,
                                fmt::format("{} redirects to an address that is refused: {:.200}",
                                            first_.host, location));
      return false;
    }
    if (request_.stop_at_other_host && !next->same_origin(first_)) return false;
    if (outcome_.answers.size() > kMostRedirects) {
      outcome_.refused =
          Status(StatusCode::network_error,
                 fmt::format("{} redirects more than {} times", first_.host, kMostRedirects));
      return false;
    }
    if (!next->same_origin(first_)) request_.token.clear();
    outcome_.answers.emplace_back();
    prepare(*next);
    return true;
  }

 private:
  void prepare(const Address& address) {
    current_ = address;
    outcome_.answers.back().url = address.whole;
    begun_ = false;
    header_bytes_ = 0;
    error_[0] = '\0';
    handle_.reset(curl_easy_init());
    if (handle_ == nullptr) throw std::bad_alloc();
    CURL* const h = handle_.get();
    curl_slist_free_all(header_list_);
    header_list_ = nullptr;
    add_header("Accept-Encoding: identity");  // sizes and ranges are of the file itself
    if (!request_.token.empty() && address.may_carry_token()) {
      add_header("Authorization: Bearer " + request_.token);
    }
    if (request_.from > 0) add_header(fmt::format("Range: bytes={}-", request_.from));
    curl_easy_setopt(h, CURLOPT_URL, address.whole.c_str());
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, header_list_);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "ettin/" ETTIN_VERSION_STRING);
    curl_easy_setopt(h, CURLOPT_NOBODY, request_.head ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error_);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, static_cast<long>(settings_.connect_seconds));
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings_.stall_seconds));
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, &Attempt::on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, &Attempt::on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(h, CURLOPT_PRIVATE, this);
  }

  void add_header(const std::string& line) {
    curl_slist* const longer = curl_slist_append(header_list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    header_list_ = longer;
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    return static_cast<Attempt*>(self)->header({data, size * count}) ? size * count : 0;
  }
  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    return static_cast<Attempt*>(self)->body({data, size * count}) ? size * count : 0;
  }

  bool header(std::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > kMostHeaderBytes) return false;
    Answer& answer = outcome_.answers.back();
    answer.add_line(line);
    const bool complete = line == "\r\n" || line == "\n";
    if (!complete || answer.status < 200 || answer.status >= 300) return true;
    return begin();
  }

  bool begin() {
    if (begun_) return true;
    begun_ = true;
    outcome_.refused = job_.begin(outcome_.last());
    return outcome_.refused.ok();
  }

  bool body(std::string_view bytes) {
    const int status = outcome_.last().status;
    // What a refusal says to people is not worth reading, but is let through for its end.
    if (status < 200 || status >= 300) return (header_bytes_ += bytes.size()) < kMostHeaderBytes;
    if (!begin()) return false;
    outcome_.refused = job_.body(std::as_bytes(std::span(bytes)));
    return outcome_.refused.ok();
  }

  Job& job_;
  const TransferSettings& settings_;
  Request request_;
  Outcome outcome_;
  Address first_, current_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_{nullptr, &curl_easy_cleanup};
  curl_slist* header_list_ = nullptr;
  bool begun_ = false;
  size_t header_bytes_ = 0;
  char error_[CURL_ERROR_SIZE] = {};
};

class Runner {
 public:
  Runner(std::span<Job* const> jobs, const TransferSettings& settings) : settings_(settings) {
    static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
    ETTIN_CHECK(initialised == CURLE_OK);
    multi_ = curl_multi_init();
    if (multi_ == nullptr) throw std::bad_alloc();
    for (Job* const job : jobs) waiting_.push_back({job, Clock::now()});
  }
  ~Runner() {
    for (const auto& attempt : running_) curl_multi_remove_handle(multi_, attempt->handle());
    running_.clear();
    curl_multi_cleanup(multi_);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  Status run(const std::function<void()>& tick) {
    while (!waiting_.empty() || !running_.empty()) {
      ETTIN_RETURN_IF_ERROR(start_due());
      int active = 0;
      if (curl_multi_perform(multi_, &active) != CURLM_OK) {
        return Status(StatusCode::network_error, "the transfers cannot go on");
      }
      ETTIN_RETURN_IF_ERROR(collect());
      if (tick) tick();
      constexpr int kTickMs = 100;
      curl_multi_poll(multi_, nullptr, 0, kTickMs, nullptr);
    }
    return {};
  }

 private:
  struct Waiting {
    Job* job;
    Clock::time_point due;
  };

  Status start_due() {
    for (auto at = waiting_.begin();
         at != waiting_.end() && running_.size() < static_cast<size_t>(settings_.at_once);) {
      if (at->due > Clock::now()) {
        ++at;
        continue;
      }
      auto attempt = std::make_unique<Attempt>(*at->job, settings_);
      at = waiting_.erase(at);
      if (!attempt->start()) {
        ETTIN_RETURN_IF_ERROR(finish(*attempt));
        return start_due();
      }
      curl_multi_add_handle(multi_, attempt->handle());
      running_.push_back(std::move(attempt));
    }
    return {};
  }

  Status finish(Attempt& attempt) {
    ETTIN_ASSIGN_OR_RETURN(const std::optional<double> delay,
                           attempt.job().finished(attempt.outcome()));
    if (!delay) return {};
    const auto wait =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*delay));
    waiting_.push_back({&attempt.job(), Clock::now() + wait});
    return {};
  }

  Status collect() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const handle = message->easy_handle;
      const CURLcode code = message->data.result;
      const auto at = std::find_if(running_.begin(), running_.end(),
                                   [&](const auto& a) { return a->handle() == handle; });
      ETTIN_CHECK(at != running_.end());
      curl_multi_remove_handle(multi_, handle);
      if ((*at)->follow(code)) {
        curl_multi_add_handle(multi_, (*at)->handle());
        continue;
      }
      const std::unique_ptr<Attempt> attempt = std::move(*at);
      running_.erase(at);
      ETTIN_RETURN_IF_ERROR(finish(*attempt));
    }
    return {};
  }

  const TransferSettings& settings_;
  CURLM* multi_ = nullptr;
  std::deque<Waiting> waiting_;
  std::vector<std::unique_ptr<Attempt>> running_;
};

}  // namespace

Status run_jobs(std::span<Job* const> jobs, const TransferSettings& settings,
                const std::function<void()>& tick) {
  return Runner(jobs, settings).run(tick);
}

}  // namespace ettin
