#include "harness/os/signals.hpp"

#include "harness/os/syscall_error.hpp"

#include <csignal>

namespace pidleak::os {
namespace {

void set_action(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  if (::sigaction(signal, &action, nullptr) != 0)
    throw_errno("sigaction({})", signal_name(signal));
}

struct NamedSignal {
  int number;
  const char *name;
};

/// As sigabbrev_np(3), which glibc has since 2.32 and musl does not. Numbers differ between architectures.
constexpr NamedSignal named_signals[] = {
    {SIGHUP, "SIGHUP"},       {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},   {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},
    {SIGABRT, "SIGABRT"},     {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},     {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},
    {SIGSEGV, "SIGSEGV"},     {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"},   {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
    {SIGSTKFLT, "SIGSTKFLT"}, {SIGCHLD, "SIGCHLD"}, {SIGCONT, "SIGCONT"},   {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"},
    {SIGTTIN, "SIGTTIN"},     {SIGTTOU, "SIGTTOU"}, {SIGURG, "SIGURG"},     {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
    {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGWINCH, "SIGWINCH"}, {SIGPOLL, "SIGPOLL"}, {SIGPWR, "SIGPWR"},
    {SIGSYS, "SIGSYS"}};

void change_mask_of_sigterm(int how) {
  sigset_t only_sigterm;
  sigemptyset(&only_sigterm);
  sigaddset(&only_sigterm, SIGTERM);
  if (int error = ::pthread_sigmask(how, &only_sigterm, nullptr); error != 0)
    throw SyscallError(error, "pthread_sigmask(SIGTERM)");
}

} // namespace

std::string signal_name(int signal) {
  for (const auto &named : named_signals)
    if (named.number == signal)
      return named.name;
  return fmt::format("signal {}", signal);
}

std::optional<int> signal_of(const std::string &text) {
  for (const auto &[number, name] : named_signals)
    if (text == name || "SIG" + text == name || text == std::to_string(number))
      return number;
  return {};
}

void reset_all_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= SIGRTMAX; ++signal)
    ::sigaction(signal, &action, nullptr); // EINVAL for the ones named in the header
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void catch_sigterm() {
  set_action(SIGTERM, [](int) {});
}
void ignore_sigterm() { set_action(SIGTERM, SIG_IGN); }
void block_sigterm() { change_mask_of_sigterm(SIG_BLOCK); }
void unblock_sigterm() { change_mask_of_sigterm(SIG_UNBLOCK); }
void ignore_sigpipe() { set_action(SIGPIPE, SIG_IGN); }

} // namespace pidleak::os
