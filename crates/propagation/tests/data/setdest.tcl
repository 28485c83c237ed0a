#
# nodes: 2, pause: 2.00, max speed: 5.00, max x: 200.00, max y: 200.00
#
set val(nn) 2
$node_(0) set X_ 10.000000000000
$node_(0) set Y_ 5.000000000000
$node_(0) set Z_ 0.000000000000
$node_(1) set X_ 0.0
$node_(1) set Y_ 0.0
$node_(1) set Z_ 0.0
$god_ set-dist 0 1 1
$ns_ at 2.000000000000 "$node_(0) setdest 40.000000000000 45.000000000000 5.000000000000"
$ns_ at 8.0 "$node_(1) setdest 100.0 100.0 0.0"
$ns_ at 1.0 "$node_(1) setdest 100.0 0.0 2.0"
$ns_ at 6.0 "$node_(1) setdest 10.0 100.0 3.0"
$ns_ at 4.250000000000 "$god_ set-dist 0 1 16777215"
#
# Destination Unreachables: 1
#
