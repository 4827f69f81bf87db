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

int most_opened = -1;

TEST(Subject, DISABLED_UsingUpAllDescriptors) {
  for (int fd = 0; fd >= 0; fd = open("/dev/null", O_RDONLY))
    most_opened = fd;
}

TEST(Subject, DISABLED_UsingUpAllDescriptors_AndClosingThem) {
  for (int fd = most_opened; fd > 2; --fd)
    close(fd);
}

} // namespace

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new pidleak::GTestListener({.name = {}, .grace = {}}));
  return RUN_ALL_TESTS();
}
