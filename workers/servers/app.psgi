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
    my $memory = 'x' x (384 << 20) if $path eq '/block-allocate';
    return [200, ['Content-Type' => 'text/plain'], ["$$\n"]];
};
