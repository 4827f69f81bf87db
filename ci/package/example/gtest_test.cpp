#include <pidleak/gtest.hpp>

#include <cstdlib>

TEST(Gtest, Clean) { EXPECT_EQ(std::system("true"), 0); }

TEST(Gtest, Leaking) { EXPECT_EQ(std::system("sleep 600 >/dev/null 2>&1 &"), 0); }

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new pidleak::GTestListener);
  return RUN_ALL_TESTS();
}
