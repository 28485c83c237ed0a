# One node, not numbered from 0.
$node_(3) set X_ 5.0
$node_(3) set Y_ 0.0
$node_(3) set Z_ 0.0
$ns_ at 0.25 "$node_(3) setdest 50.0 0.0 10.0"
