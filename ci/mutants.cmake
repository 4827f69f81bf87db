# For ci/mutants: each file of MUTATED is compiled alone and as fast as can be. So a change in it costs some seconds, and
# what is not mutated is compiled as in Release, which ccache may have. Warnings must not find what the tests are to find.
cmake_language(DEFER CALL set_source_files_properties ${MUTATED} DIRECTORY harness harness/library workers
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON COMPILE_OPTIONS "-O0;-w")
