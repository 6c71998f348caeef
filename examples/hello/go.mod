module goanna.test/hello

go 1.21
