#include "server/stop_signals.h"

#include <thread>

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace tsdbd::server {

StopSignals* StopSignals::Install() {
  static auto* const signals = new StopSignals;
  return signals;
}

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&signals_, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  // A client that closes early is an error of write(), not the end.
  std::signal(SIGPIPE, SIG_IGN);
  std::thread([this] { WatchSignals(); }).detach();
}

void StopSignals::ExpectWait() {
  MutexLock lock(&mutex_);
  wait_expected_ = true;
}

int StopSignals::Wait() {
  MutexLock lock(&mutex_);
  while (received_ == 0) {
    changed_.Wait(&mutex_);
  }
  return received_;
}

void StopSignals::WatchSignals() {
  pthread_setname_np(pthread_self(), "signals");
  while (true) {
    int signal = 0;
    sigwait(&signals_, &signal);
    MutexLock lock(&mutex_);
    if (!wait_expected_) {
      spdlog::info("stopped while starting signal={}", signal);
      _exit(0);
    }
    if (received_ != 0) {
      spdlog::warn("a second signal: stopping without finishing signal={}", signal);
      _exit(1);
    }
    received_ = signal;
    changed_.NotifyAll();
  }
}

}  // namespace tsdbd::server
