// 64-byte aligned memory, when it is large on huge pages but for its last part; or a part of memory
// that somebody else keeps alive: a mapped file.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ettin {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);  // uninitialised
  // Memory of `owner`; read only through a const Buffer. Precondition: 64-byte aligned.
  static Buffer borrow(std::shared_ptr<const void> owner, std::span<const std::byte> bytes);

  Buffer(Buffer&&) = default;
  Buffer& operator=(Buffer&&) = default;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

}  // namespace ettin
