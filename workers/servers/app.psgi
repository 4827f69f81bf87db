# The app of Starman: a worker reads the driver's gate, a FIFO, to its end where it is asked to.
use strict;
use warnings;

my $directory = $ENV{PIDLEAK_DIR};
open(my $started, '>', "$directory/started-$$") or die $!;
close $started;

sub {
    my $path = shift->{PATH_INFO};
    if ($path =~ m{^/block}) {
        open(my $gate, '<', "$directory/gate") or die $!;
        my @lines = <$gate>;
    }
    my $bytes = $path eq '/block-allocate' ? 384 << 20 : 0; # not a constant: perl would make that text at its start
    my $memory = 'x' x $bytes;
    return [200, ['Content-Type' => 'text/plain'], ["$$\n"]];
};
