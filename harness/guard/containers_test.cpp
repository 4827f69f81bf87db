// Guard in a container as Docker makes them: by runc, with its few rights, masked files, no namespaces to be made, and
// the calls refused that Docker's filter refuses. Its files are this machine's, read only.
#include "harness/guard/guard_test_support.hpp"

using namespace pidleak;
using namespace pidleak::testing;

namespace {

const std::vector<unsigned> users = {0, 65534};
constexpr std::chrono::seconds bound{90}; // a container takes half a second, and more on a busy machine

/// Gone with this object, and with the processes of the test (check_in_child) if that is killed.
class Container {
public:
  explicit Container(unsigned user, std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
    for (const char *directory : {"bundle", "bundle/root"})
      std::filesystem::create_directory(scratch_ / directory);
    auto made = run({"spec", "-b", scratch_ / "bundle"}, runc());
    expect_equal(made.status, 0, "status of runc spec: " + made.err);
    auto config = nlohmann::json::parse(scratch_.text_of("bundle/config.json"));
    auto &process = config["process"];
    process["terminal"] = false;
    process["args"] = arguments_;
    process["user"] = {{"uid", user}, {"gid", user}};
    process.erase("rlimits"); // they need CAP_SYS_RESOURCE
    config["root"] = {{"path", scratch_ / "bundle/root"}, {"readonly", true}};
    auto bind = [&](const std::string &from, const std::string &to) {
      config["mounts"].push_back(
          {{"destination", to}, {"type", "bind"}, {"source", from}, {"options", {"rbind", "ro"}}});
    };
    for (const char *directory : {"/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"})
      if (std::filesystem::exists(directory))
        bind(directory, directory);
    bind(PIDLEAK_BINARY_DIR, "/pidleak");
    config["mounts"].push_back({{"destination", "/tmp"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    nlohmann::json refused = {
        {"names", {"unshare", "setns", "mount", "umount2", "pidfd_getfd", "bpf", "perf_event_open"}},
        {"action", "SCMP_ACT_ERRNO"}};
    config["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"}, {"syscalls", nlohmann::json::array({refused})}};
    scratch_.write("bundle/config.json", config.dump());
  }
  Container(const Container &) = delete;
  Container &operator=(const Container &) = delete;
  ~Container() { ask({"delete", "-f", name_}); }

  static std::string runc() { return os::find_on_path("runc"); }
  /// What starts it, and ends with it.
  std::vector<std::string> start() const { return with_state({"run", "-b", scratch_ / "bundle", name_}); }
  Ran run_to_its_end() const { return run(start(), runc()); }
  Ran execute(std::vector<std::string> command) const {
    command.insert(command.begin(), {"exec", name_});
    return ask(command);
  }

private:
  Ran ask(const std::vector<std::string> &arguments) const { return run(with_state(arguments), runc()); }
  std::vector<std::string> with_state(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--root", scratch_ / "state"});
    return arguments;
  }
  Scratch scratch_;
  std::string name_ = fmt::format("pidleak-{}", ::getpid());
  std::vector<std::string> arguments_;
};

/// `pidleak` in a container.
Ran run_inside(unsigned user, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/pidleak/pidleak");
  return Container(user, arguments).run_to_its_end();
}

Ran guard_inside(unsigned user, const std::vector<std::string> &options, const std::string &script) {
  return run_inside(user, guarded(options, {"/bin/sh", "-c", script}));
}

std::string why_no_containers() {
  if (::geteuid() != 0)
    return "containers are made by root here";
  if (Container::runc().empty())
    return "runc is not there";
  auto message = run_in_child(
      [] {
        auto ran = Container(0, {"/bin/true"}).run_to_its_end();
        expect_equal(ran.status, 0, "status of a container: " + ran.err);
      },
      bound);
  return message.empty() ? "" : "runc makes no container here: " + message;
}

/// The body runs for each user.
void check_in_containers(const std::function<void(unsigned)> &body) {
  if (auto why = why_no_containers(); !why.empty())
    SKIP(why);
  for (unsigned user : users) {
    INFO("user " << user);
    CHECK(run_in_child([&] { body(user); }, bound) == "");
  }
}

void expect_ran(const Ran &ran, int status, const std::string &says) {
  expect_equal(ran.status, status, "status of what said `" + ran.out + ran.err + "`");
  expect(says.empty() ? ran.err.empty() : ran.err.find(says) != ran.err.npos, "it says `" + says + "`: " + ran.err);
}

} // namespace

TEST_CASE("in a container: clean is clean, and a leak is found and ended", "[guard][containers]") {
  check_in_containers([](unsigned user) {
    for (const std::vector<std::string> &options : {std::vector<std::string>{}, {"--grace", "1"}}) {
      expect_ran(guard_inside(user, options, "exit 3"), 3, "");
      expect_ran(guard_inside(user, options, "sleep 0.1 & exit 0"), 0, "");
      expect_ran(guard_inside(user, options, "sleep 600 >/dev/null 2>&1 & exit 0"), 23, "outlived the command");
    }
  });
}

TEST_CASE("in a container: an alarm can't be seen, and so it is waited for", "[guard][containers]") {
  check_in_containers([](unsigned user) {
    auto doctor = run_inside(user, {"doctor"});
    expect(doctor.out.find("alarms visible         no") != doctor.out.npos, "doctor says so: " + doctor.out);
    expect_ran(guard_inside(user, {"--grace", "5"}, "perl -e 'alarm 1; sleep' >/dev/null 2>&1 & exit 0"), 0, "");
  });
}

TEST_CASE("in a container: a slow reader outside gets every byte", "[guard][containers]") {
  check_in_containers([](unsigned user) {
    constexpr std::size_t all = 1'000'000;
    Container container(user, {"/pidleak/pidleak", "guard", "--grace", "20", "--", "/bin/sh", "-c",
                               fmt::format("head -c {} /dev/zero & exit 0", all)});
    auto out = os::open_pipe();
    auto runc = os::launch({.program = Container::runc(),
                            .arguments = container.start(),
                            .standard_output = out.write_end.get(),
                            .standard_error = 2});
    out.write_end.reset();
    std::size_t got = 0;
    std::vector<char> buffer(65536);
    for (ssize_t size = 1; size > 0; got += static_cast<std::size_t>(size)) {
      os::wait_for_any_exit({}, milliseconds(50)); // slow
      size = std::max<ssize_t>(::read(out.read_end.get(), buffer.data(), buffer.size()), 0);
    }
    expect_equal(got, all, "number of bytes");
    expect_equal(os::reap(runc).text(), "exited with 0", "the end");
  });
}

TEST_CASE("in a container: as its first process, guard spares what was executed in it besides", "[guard][containers]") {
  check_in_containers([](unsigned user) {
    Container container(user, {"/pidleak/pidleak", "guard", "--", "/bin/sh", "-c", "echo ready; read line; exit 7"});
    auto in = os::open_pipe(), out = os::open_pipe();
    auto runc = os::launch({.program = Container::runc(),
                            .arguments = container.start(),
                            .standard_input = in.read_end.get(),
                            .standard_output = out.write_end.get(),
                            .standard_error = out.write_end.get()});
    out.write_end.reset();
    in.read_end.reset();
    std::string ready(6, ' ');
    expect(os::read_exactly(out.read_end.get(), ready.data(), ready.size()) && ready == "ready\n", "it runs: " + ready);
    auto executed = container.execute({"/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"});
    expect_equal(executed.status, 0, "status of runc exec: " + executed.err);
    auto pid = executed.out.substr(0, executed.out.find('\n'));
    auto parent = container.execute({"/bin/sh", "-c", "cut -d' ' -f2-4 /proc/" + pid + "/stat"});
    expect_equal(parent.out, "(sleep) S 1\n", "guard has adopted it, and it lives");
    in.write_end.reset(); // the command ends
    expect_equal(os::reap(runc).text(), "exited with 7", "the end");
    std::string said(4096, '\0');
    ssize_t got = ::read(out.read_end.get(), said.data(), said.size());
    expect(got == 0, "guard says nothing: " + said);
  });
}

TEST_CASE("in a container: a hardened pool comes through the incident", "[guard][containers]") {
  check_in_containers([](unsigned user) {
    auto ran = run_inside(user, {"run", "incident", "--pool", "hardened", "--oom=sigkill"});
    expect_equal(ran.status, 0, "status of what said " + ran.out + ran.err);
  });
}
