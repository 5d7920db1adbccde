/* The program that every sandbox in the benchmark runs: static, no libc start-up to speak of, exit status 0. */
int main(void) { return 0; }
