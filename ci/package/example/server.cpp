// Leaves a process behind if it is told to, and never ends if it is told that.
#include <unistd.h>

#include <string_view>

int main(int argc, char **argv) {
  if (argc > 1 && fork() == 0)
    execlp("sleep", "sleep", "600", static_cast<char *>(nullptr));
  if (argc > 1 && std::string_view(argv[1]) == "hang")
    pause();
}
