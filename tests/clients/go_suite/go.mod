module chronik/go_suite

go 1.26.0
