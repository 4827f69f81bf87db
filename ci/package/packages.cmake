# `cpack` in a build directory writes a Debian package and an archive that is unpacked anywhere: pidleak finds what it
# starts relative to itself.
set(CPACK_PACKAGE_NAME pidleak)
set(CPACK_PACKAGE_VENDOR "The pidleak authors")
set(CPACK_PACKAGE_CONTACT "The pidleak authors")
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake, python3, python3-joblib, python3-billiard, nodejs") # pools to replay
include(CPack)
