// What listeners_test.cpp runs: a program with the listener for GoogleTest.
#include <fcntl.h>
#include <pidleak/gtest.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace {

void leave_a_process() {
  if (fork() == 0)
    for (;;)
      pause();
}

TEST(Subject, Clean) {
  pid_t child = fork();
  if (child == 0)
    _exit(0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST(Subject, Leaking) { leave_a_process(); }

TEST(Subject, LeakingAndThrowing) {
  leave_a_process();
  throw std::runtime_error("thrown");
}

TEST(Subject, CleanAgain) {}

TEST(Subject, Printed) {
  pidleak::Guard guard;
  EXPECT_TRUE(guard.check().clean()) << guard.check();
}

TEST(Subject, DISABLED_UsingUpAllDescriptors) {
  while (open("/dev/null", O_RDONLY) >= 0) {
  }
}

} // namespace

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new pidleak::GTestListener({.name = {}, .grace = {}}));
  return RUN_ALL_TESTS();
}
