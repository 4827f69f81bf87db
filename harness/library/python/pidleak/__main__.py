"""`python -m pidleak VERB ...`: the programs that came with this package, in place of this process."""
import os
import sys


def main():
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "pidleak")
    try:
        os.execv(program, ["pidleak"] + sys.argv[1:])
    except OSError as error:
        sys.stderr.write(
            "python -m pidleak: %s: %s; the programs come with the wheel pytest-pidleak for Linux, on x86-64\n"
            % (program, error.strerror)
        )
        return 5


if __name__ == "__main__":
    sys.exit(main())
