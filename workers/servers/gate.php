<?php
// What a worker of PHP-FPM does when it is asked: it reads the driver's gate, a FIFO, to its end.
$path = $_SERVER['REQUEST_URI'];
if (str_starts_with($path, '/block')) {
    file_get_contents(getenv('PIDLEAK_DIR') . '/gate');
}
if ($path === '/block-allocate') {
    $memory = str_repeat('x', 384 << 20);
}
echo getmypid(), "\n";
