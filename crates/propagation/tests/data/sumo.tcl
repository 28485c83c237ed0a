$node_(0) set X_ 5.1
$node_(0) set Y_ 495.05
$node_(0) set Z_ 0
$ns_ at 0.0 "$node_(0) setdest 5.1 495.05 0.00"
$node_(1) set X_ 994.9
$node_(1) set Y_ 504.95
$node_(1) set Z_ 0
$ns_ at 0.0 "$node_(1) setdest 994.9 504.95 0.00"
$ns_ at 1.0 "$node_(0) setdest 7.38 495.05 2.28"
$ns_ at 1.0 "$node_(1) setdest 993.27 504.95 1.63"
$ns_ at 2.0 "$node_(0) setdest 11.91 495.05 4.53"
$ns_ at 2.0 "$node_(1) setdest 989.77 504.95 3.497"
