# Asks PostgreSQL: postgresql.sh PORT GATE PATH. A client that has blocked stays connected, as one of a connection pool.
port=$1 gate=$2 path=$3
ask() { /usr/lib/postgresql/15/bin/psql -X -q -A -t -h 127.0.0.1 -p "$port" -U postgres postgres "$@" 2>&1; }
case $path in
/pid) ask -c 'SELECT pg_backend_pid()' ;;
/block*)
  {
    echo "CREATE TEMP TABLE gate (line text); COPY gate FROM '$gate';"
    [ "$path" = /block ] || echo "SELECT length(repeat('x', 400000000));"
    exec sleep infinity
  } | ask
  ;;
esac
