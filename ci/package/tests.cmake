# What is packaged, tried from outside: ${installed} is where the fixture `installed` puts it.

# Another project uses the CMake package, once as installed and once in the build tree.
add_test(NAME package-installed COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-example
  ${installed}/${CMAKE_INSTALL_BINDIR}/pidleak ${installed}/${package_destination} ${PROJECT_BINARY_DIR}/example-installed)
add_test(NAME package-built COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-example
  $<TARGET_FILE:pidleak> ${PROJECT_BINARY_DIR} ${PROJECT_BINARY_DIR}/example-built)
set_tests_properties(package-installed PROPERTIES FIXTURES_REQUIRED installed)
add_test(NAME package-subproject COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-subproject
  ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/subproject)
set_tests_properties(package-installed package-built package-subproject PROPERTIES LABELS install TIMEOUT 300)

add_test(NAME completions COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-completions $<TARGET_FILE:pidleak>)
set_tests_properties(completions PROPERTIES LABELS cli TIMEOUT 300)
add_test(NAME man COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-man $<TARGET_FILE:pidleak>)
set_tests_properties(man PROPERTIES LABELS cli TIMEOUT 300)

add_test(NAME readme COMMAND ${PROJECT_SOURCE_DIR}/ci/check-readme ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(readme PROPERTIES LABELS cli SKIP_RETURN_CODE 4 TIMEOUT 300)
add_test(NAME wheel COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-wheel ${CMAKE_COMMAND} ${PROJECT_BINARY_DIR}
  ${PROJECT_BINARY_DIR}/wheel-tried)
set_tests_properties(wheel PROPERTIES LABELS install TIMEOUT 300 SKIP_RETURN_CODE 4)
add_test(NAME packages COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-packages ${CMAKE_CPACK_COMMAND}
  ${PROJECT_BINARY_DIR} ${PROJECT_BINARY_DIR}/packages)
set_tests_properties(packages PROPERTIES LABELS install TIMEOUT 300 SKIP_RETURN_CODE 4)

# What other tools and GitHub run in place of ctest.
add_test(NAME wrappers COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-wrappers $<TARGET_FILE:pidleak>
  ${PROJECT_BINARY_DIR}/wrappers)
add_test(NAME action COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-action ${CMAKE_COMMAND} ${PROJECT_BINARY_DIR}
  ${PROJECT_BINARY_DIR}/action)
set_tests_properties(wrappers action PROPERTIES LABELS install TIMEOUT 300 SKIP_RETURN_CODE 4)

# Shards under GNU parallel.
if(NOT PIDLEAK_SANITIZE)
  add_test(NAME shards-parallel COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-parallel ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
    ${PROJECT_BINARY_DIR}/shards-parallel)
  set_tests_properties(shards-parallel PROPERTIES LABELS sweep TIMEOUT 300 SKIP_RETURN_CODE 4)
endif()

# The image of the static programs, in containers as a Pod has them; and the manifests for Pods.
add_test(NAME image COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-image ${PROJECT_BINARY_DIR}/static
  ${PROJECT_BINARY_DIR}/image)
add_test(NAME manifests COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-manifests
  ${PROJECT_SOURCE_DIR}/build/npm/node_modules)
set_tests_properties(image manifests PROPERTIES LABELS install TIMEOUT 300 SKIP_RETURN_CODE 4)
