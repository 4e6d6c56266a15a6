/* Exits with 0 if a node without std delivers what it casts. */
unsigned phalanx_no_std_check(void);

int main(void) {
    return phalanx_no_std_check() == 2 ? 0 : 1;
}
