module goanna.test/guest

go 1.21
