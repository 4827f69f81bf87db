#include "harness/pool/shared_locks.hpp"

#include "harness/os/syscall_error.hpp"

#include <sys/mman.h>

#include <new>

namespace pidleak::pool {

void SharedSemaphore::initialise(unsigned value) {
  if (::sem_init(&semaphore_, 1, value) != 0)
    os::throw_errno("sem_init(shared, {})", value);
}

void SharedSemaphore::wait() {
  while (::sem_wait(&semaphore_) != 0)
    if (errno != EINTR)
      os::throw_errno("sem_wait()");
}

bool SharedSemaphore::try_wait() {
  while (::sem_trywait(&semaphore_) != 0) {
    if (errno == EAGAIN)
      return false;
    if (errno != EINTR)
      os::throw_errno("sem_trywait()");
  }
  return true;
}

void SharedSemaphore::post() {
  if (::sem_post(&semaphore_) != 0)
    os::throw_errno("sem_post()");
}

int SharedSemaphore::value() {
  int value = 0;
  ::sem_getvalue(&semaphore_, &value);
  return value;
}

SharedLocksMapping SharedLocksMapping::create(int capacity) {
  auto memfd = os::UniqueFd::adopt(::memfd_create("pool-locks", MFD_CLOEXEC)); // Linux 3.17
  if (!memfd)
    os::throw_errno("memfd_create(pool-locks)");
  if (::ftruncate(memfd.get(), sizeof(SharedLocks)) != 0)
    os::throw_errno("ftruncate(memfd {})", memfd.get());
  auto mapping = map(std::move(memfd));
  mapping->read_lock.initialise(1);
  mapping->free_slots.initialise(static_cast<unsigned>(capacity));
  mapping->result_lock.initialise(1);
  mapping->capacity = capacity;
  return mapping;
}

SharedLocksMapping SharedLocksMapping::map(os::UniqueFd memfd) {
  void *memory = ::mmap(nullptr, sizeof(SharedLocks), PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get(), 0);
  if (memory == MAP_FAILED)
    os::throw_errno("mmap(memfd {})", memfd.get());
  return SharedLocksMapping(std::move(memfd), static_cast<SharedLocks *>(memory));
}

SharedLocksMapping::SharedLocksMapping(SharedLocksMapping &&other) noexcept
    : memfd_(std::move(other.memfd_)), locks_(std::exchange(other.locks_, nullptr)) {}

SharedLocksMapping::~SharedLocksMapping() {
  if (locks_)
    ::munmap(locks_, sizeof(SharedLocks));
}

} // namespace pidleak::pool
